// docs/openapi.json and the tables of docs/api.md are what the table of endpoints and the described
// structs say. With MOTE_WRITE_DOCS=1 in the environment they are written anew (scripts/api-docs).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "api/firecracker/endpoints.h"
#include "api_firecracker/schema.h"
#include "api_firecracker/summaries.h"

namespace mote::api::firecracker::test {
namespace {

json::Value reference(std::string_view name) {
  return {Object{{"$ref", text(fmt::format("#/components/schemas/{}", name))}}};
}

json::Value content(json::Value schema) {
  return {Object{{"application/json", {Object{{"schema", std::move(schema)}}}}}};
}

json::Value response(std::string_view description, std::optional<json::Value> schema = {}) {
  Object object{{"description", text(description)}};
  if (schema) object.push_back({"content", content(std::move(*schema))});
  return {std::move(object)};
}

json::Value id_parameter(std::string_view path) {
  const auto brace = path.find('{');
  const std::string_view name = path.substr(brace + 1, path.size() - brace - 2);
  return {Array{{Object{
      {"name", text(name)},
      {"in", text("path")},
      {"required", {true}},
      {"schema", {Object{{"type", text("string")}, {"pattern", text("^[A-Za-z0-9_]+$")}}}}}}}};
}

template <typename E>
json::Value operation(const E& endpoint, Schemas& schemas) {
  using Of = Signature<std::remove_cv_t<decltype(E::kFunction)>>;
  Object object;
  object.push_back(
      {"summary", text(summary_of(fmt::format("{} {}", endpoint.method, endpoint.path)))});
  if (endpoint.path.ends_with('}')) object.push_back({"parameters", id_parameter(endpoint.path)});
  if constexpr (std::tuple_size_v<typename Of::Bodies> == 1 && !kRemoves<E>) {
    using Body = std::tuple_element_t<0, typename Of::Bodies>;
    object.push_back({"requestBody",
                      {Object{{"required", {!endpoint.body_optional}},
                              {"content", content(schemas.of<Body>())}}}});
  }
  Object responses;
  if constexpr (std::is_void_v<typename Of::Answer>) {
    responses.push_back({"204", response("Done.")});
  } else {
    responses.push_back({"200", response("The answer.", schemas.of<typename Of::Answer>())});
  }
  responses.push_back({"400", response("Refused; nothing has changed.", reference("Error"))});
  if (endpoint.path == "/mmds" && endpoint.method != "GET") {
    responses.push_back({"413", response("More than the metadata service may keep; nothing has "
                                         "changed.",
                                         reference("Error"))});
  }
  object.push_back({"responses", {std::move(responses)}});
  return {std::move(object)};
}

// The member `name` of `object`, made if it is not there.
Object& object_at(Object& object, std::string_view name) {
  for (json::Member& member : object) {
    if (member.name == name) return std::get<Object>(member.value.data);
  }
  object.push_back({std::string(name), {Object{}}});
  return std::get<Object>(object.back().value.data);
}

std::string lower(std::string_view method) {
  std::string text(method);
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

json::Value document() {
  Schemas schemas;
  Object paths;
  std::apply(
      [&](const auto&... endpoint) {
        (object_at(paths, endpoint.path)
             .push_back({lower(endpoint.method), operation(endpoint, schemas)}),
         ...);
      },
      kEndpoints);
  Object components;
  for (const auto& [name, schema] : schemas.named()) components.push_back({name, schema});
  components.push_back(
      {"Error",
       {Object{{"type", text("object")},
               {"properties", {Object{{"fault_message", {Object{{"type", text("string")}}}}}}}}}});
  return {Object{{"openapi", text("3.0.3")},
                 {"info",
                  {Object{{"title", text("The API of mote-vmm, as Firecracker's")},
                          {"version", text(kFirecrackerVersion)}}}},
                 {"paths", {std::move(paths)}},
                 {"components", {Object{{"schemas", {std::move(components)}}}}}}};
}

// Indented, objects and lists of more than a line's length open.
void print(const json::Value& value, std::size_t depth, std::string& into) {
  json::Writer writer;
  writer.value(value);
  const std::string line = std::move(writer).take();
  const auto* object = value.as<Object>();
  const auto* array = value.as<Array>();
  if ((object == nullptr && array == nullptr) || line.size() < 100) {
    into += line;
    return;
  }
  const std::string indent(2 * (depth + 1), ' ');
  into += object != nullptr ? "{" : "[";
  bool first = true;
  const auto next = [&] {
    into += first ? "\n" : ",\n";
    into += indent;
    first = false;
  };
  if (object != nullptr) {
    for (const json::Member& member : *object) {
      next();
      into += fmt::format("\"{}\": ", member.name);
      print(member.value, depth + 1, into);
    }
  } else {
    for (const json::Value& item : *array) {
      next();
      print(item, depth + 1, into);
    }
  }
  into += fmt::format("\n{}{}", std::string(2 * depth, ' '), object != nullptr ? "}" : "]");
}

// Tables for people
// ------------------------------------------------------------------------------------------------

const json::Value& member(const json::Value& object, std::string_view name) {
  static const json::Value kNone{nullptr};
  const auto* members = object.as<Object>();
  if (members == nullptr) return kNone;
  const auto found = std::ranges::find(*members, name, &json::Member::name);
  return found == members->end() ? kNone : found->value;
}

std::string line_of(const json::Value& value) {
  json::Writer writer;
  writer.value(value);
  return std::move(writer).take();
}

std::string type_text(const json::Value& schema) {
  if (const auto* of = member(schema, "allOf").as<Array>()) return type_text(of->front());
  if (const auto* to = member(schema, "$ref").as<std::string>()) {
    const std::string name = to->substr(to->rfind('/') + 1);
    return fmt::format("[{}](#{})", name, lower(name));
  }
  if (const auto* names = member(schema, "enum").as<Array>()) {
    std::string text;
    for (const json::Value& name : *names) {
      text += fmt::format("{}`{}`", text.empty() ? "" : ", ", std::get<std::string>(name.data));
    }
    return text;
  }
  const auto* type = member(schema, "type").as<std::string>();
  if (type == nullptr) return "any JSON";
  if (*type == "array") return "list of " + type_text(member(schema, "items"));
  if (*type == "integer") {
    return fmt::format("{} to {}", line_of(member(schema, "minimum")),
                       line_of(member(schema, "maximum")));
  }
  return *type == "boolean" ? "`true`, `false`" : *type;
}

std::string table_of(const std::string& name, const json::Value& schema) {
  std::string table =
      fmt::format("### {}\n\n| field | | values | |\n| --- | --- | --- | --- |\n", name);
  const auto* required = member(schema, "required").as<Array>();
  for (const json::Member& field : std::get<Object>(member(schema, "properties").data)) {
    const bool needed =
        required != nullptr && std::ranges::any_of(*required, [&](const json::Value& one) {
          return std::get<std::string>(one.data) == field.name;
        });
    const json::Value& usual = member(field.value, "default");
    table += fmt::format("| `{}` | {} | {} | {} |\n", field.name,
                         std::get<std::string>(member(field.value, "description").data),
                         type_text(field.value),
                         needed            ? "required"
                         : usual.is_null() ? ""
                                           : fmt::format("default `{}`", line_of(usual)));
  }
  return table + "\n";
}

// The body or answer of an operation, for a cell of a table.
std::string schema_cell(const json::Value& holder) {
  const json::Value& schema =
      member(member(member(holder, "content"), "application/json"), "schema");
  return schema.is_null() ? "" : type_text(schema);
}

std::string tables(const json::Value& openapi) {
  std::string text = "| request | | body | answer |\n| --- | --- | --- | --- |\n";
  for (const json::Member& path : std::get<Object>(member(openapi, "paths").data)) {
    for (const json::Member& method : std::get<Object>(path.value.data)) {
      std::string name = method.name;
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      text += fmt::format("| `{} {}` | {} | {} | {} |\n", name, path.name,
                          summary_of(fmt::format("{} {}", name, path.name)),
                          schema_cell(member(method.value, "requestBody")),
                          schema_cell(member(member(method.value, "responses"), "200")));
    }
  }
  text += "\n## Fields\n\n";
  const json::Value& schemas = member(member(openapi, "components"), "schemas");
  for (const json::Member& schema : std::get<Object>(schemas.data)) {
    if (schema.name != "Error") text += table_of(schema.name, schema.value);
  }
  text.pop_back();
  return text;
}

std::string read_file(const std::string& path) {
  std::ostringstream found;
  found << std::ifstream(path).rdbuf();
  return found.str();
}

// Whether the file is `wanted`, or, where it is to be written, has become so.
void expect_file(const std::string& path, const std::string& wanted) {
  if (std::getenv("MOTE_WRITE_DOCS") != nullptr) std::ofstream(path) << wanted;
  EXPECT_TRUE(read_file(path) == wanted) << path
                                         << " is out of date: scripts/api-docs writes it "
                                            "anew";
}

TEST(ApiDocs, TheOpenApiFileIsWhatTheProgramSays) {
  std::string wanted;
  print(document(), 0, wanted);
  expect_file(MOTE_DOCS "/openapi.json", wanted + "\n");
}

TEST(ApiDocs, TheTablesAreWhatTheProgramSays) {
  constexpr std::string_view kMark = "## Requests\n\n";
  const std::string path = MOTE_DOCS "/api.md";
  const std::string page = read_file(path);
  const auto mark = page.find(kMark);
  ASSERT_NE(mark, std::string::npos) << "docs/api.md has no section for its tables";
  expect_file(path, page.substr(0, mark + kMark.size()) + tables(document()));
}

TEST(ApiDocs, EachRequestHasItsSummary) {
  std::apply(
      [](const auto&... endpoint) {
        (
            [&] {
              const std::string request = fmt::format("{} {}", endpoint.method, endpoint.path);
              EXPECT_FALSE(summary_of(request).empty()) << request;
            }(),
            ...);
      },
      kEndpoints);
}

TEST(ApiDocs, EachFieldHasItsDescription) {
  std::size_t found = 0;
  const json::Value openapi = document();
  const json::Value& schemas = member(member(openapi, "components"), "schemas");
  for (const json::Member& schema : std::get<Object>(schemas.data)) {
    if (schema.name == "Error") continue;
    for (const json::Member& field : std::get<Object>(member(schema.value, "properties").data)) {
      const bool described = !description_of(schema.name, field.name).empty();
      EXPECT_TRUE(described) << schema.name << "." << field.name
                             << " lacks a line in descriptions.h";
      found += described ? 1 : 0;
    }
  }
  EXPECT_EQ(found, kDescriptions.size()) << "descriptions.h tells of a field that is not there";
}

}  // namespace
}  // namespace mote::api::firecracker::test

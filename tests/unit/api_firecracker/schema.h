// The described structs of the API as schemas of OpenAPI 3.0: one description, from which requests
// are read and answers written, says here what they look like.
#pragma once

#include <array>
#include <boost/core/type_name.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "api/firecracker/requests.h"
#include "api_firecracker/descriptions.h"
#include "base/json.h"
#include "base/json_describe.h"

namespace mote::api::firecracker::test {

using Object = json::Value::Object;
using Array = json::Value::Array;

inline json::Value text(std::string_view value) { return {std::string(value)}; }

// What a value is by default, as JSON.
template <typename T>
json::Value value_of(const T& value) {
  auto parsed = json::parse(json::write(value));
  return parsed ? std::move(*parsed) : json::Value{nullptr};
}

// What counts where an optional field is absent, which its struct does not say.
struct AbsentMeans {
  std::string_view type;
  std::string_view field;
  std::string_view value;  // JSON
};
inline constexpr std::array kAbsentMeans{AbsentMeans{"BlockConfig", "is_read_only", "false"},
                                         AbsentMeans{"BlockConfig", "cache_type", "\"Unsafe\""},
                                         AbsentMeans{"BlockConfig", "io_engine", "\"Sync\""},
                                         AbsentMeans{"LoggerConfig", "level", "\"Info\""},
                                         AbsentMeans{"LoggerConfig", "show_level", "false"},
                                         AbsentMeans{"LoggerConfig", "show_log_origin", "false"},
                                         AbsentMeans{"MachineConfig", "cpu_template", "\"None\""}};

inline json::Value absent_value(std::string_view type, std::string_view field) {
  for (const AbsentMeans& known : kAbsentMeans) {
    if (known.type == type && known.field == field) return *json::parse(known.value);
  }
  return {nullptr};
}

// The schemas of structs by their names, which others refer to.
class Schemas {
 public:
  template <typename T>
  json::Value of() {
    if constexpr (std::is_same_v<T, bool>) {
      return {Object{{"type", text("boolean")}}};
    } else if constexpr (std::integral<T>) {
      return {Object{{"type", text("integer")},
                     {"minimum", value_of(std::numeric_limits<T>::min())},
                     {"maximum", value_of(std::numeric_limits<T>::max())}}};
    } else if constexpr (std::is_same_v<T, std::string>) {
      return {Object{{"type", text("string")}}};
    } else if constexpr (std::is_same_v<T, json::Value> || std::is_same_v<T, JsonText>) {
      return {Object{}};
    } else if constexpr (std::is_enum_v<T>) {
      return of_enum<T>();
    } else if constexpr (json::detail::kIsOptional<T>) {
      return of<typename T::value_type>();
    } else if constexpr (requires { typename T::allocator_type; }) {
      if constexpr (requires { typename T::mapped_type; }) {
        return {Object{{"type", text("object")},
                       {"additionalProperties", of<typename T::mapped_type>()}}};
      } else {
        return {Object{{"type", text("array")}, {"items", of<typename T::value_type>()}}};
      }
    } else {
      return of_struct<T>();
    }
  }

  // All that of() has met.
  const std::map<std::string, json::Value>& named() const { return named_; }

 private:
  template <typename T>
  static std::string name_of() {
    const std::string name = boost::core::type_name<T>();
    return name.substr(name.rfind(':') + 1);
  }

  template <typename E>
  static json::Value of_enum() {
    Array names;
    for (const auto& known : json::detail::Enumerators<E>::kTable)
      names.push_back(text(known.name));
    return {Object{{"type", text("string")}, {"enum", {std::move(names)}}}};
  }

  template <typename T>
  json::Value of_struct() {
    const std::string name = name_of<T>();
    if (!named_.contains(name)) {
      named_[name] = {};
      named_[name] = describe<T>(boost::describe::describe_members < T,
                                 boost::describe::mod_public | boost::describe::mod_inherited > {});
    }
    return {Object{{"$ref", text("#/components/schemas/" + name)}}};
  }

  template <typename T, template <typename...> typename List, typename... D>
  json::Value describe(List<D...>) {
    Array required;
    Object properties;
    const auto& fields = json::detail::Fields<T>::kTable;
    std::size_t index = 0;
    (add<T, D>(fields[index++], properties, required), ...);
    Object schema{{"type", text("object")}, {"additionalProperties", {false}}};
    if (!required.empty()) schema.push_back({"required", {std::move(required)}});
    schema.push_back({"properties", {std::move(properties)}});
    return {std::move(schema)};
  }

  template <typename T, typename D>
  void add(const json::detail::Field& field, Object& properties, Array& required) {
    using Member = std::remove_cvref_t<decltype(std::declval<T&>().*D::pointer)>;
    json::Value schema = of<Member>();
    auto& said = std::get<Object>(schema.data);
    const bool needed = !field.optional && field.presence == json::Presence::kByType;
    if (needed) required.push_back(text(field.name));
    // A reference stands alone: what is beside it would not count.
    const bool reference = !said.empty() && said.front().name == "$ref";
    if (reference) said = Object{{"allOf", {Array{{said}}}}};
    said.insert(said.begin(), {"description", text(description_of(name_of<T>(), field.name))});
    if (field.optional) said.push_back({"nullable", {true}});
    if (!reference) {
      const T fresh{};
      json::Value usual = value_of(fresh.*D::pointer);
      if (usual.is_null()) usual = absent_value(name_of<T>(), field.name);
      if (!needed && !usual.is_null()) said.push_back({"default", usual});
    }
    properties.push_back({std::string(field.name), std::move(schema)});
  }

  std::map<std::string, json::Value> named_;
};

}  // namespace mote::api::firecracker::test

#include "base/json_describe.h"

#include <algorithm>

namespace mote::json::detail {
namespace {

Result<void> read_bool(const Value& value, const Path& path, void* into) {
  const bool* found = value.as<bool>();
  if (found == nullptr) return mismatch(path, value, kBool.wanted());
  *static_cast<bool*>(into) = *found;
  return {};
}

Result<void> read_string(const Value& value, const Path& path, void* into) {
  const auto* found = value.as<std::string>();
  if (found == nullptr) return mismatch(path, value, kString.wanted());
  *static_cast<std::string*>(into) = *found;
  return {};
}

const Field* field_named(std::span<const Field> fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &Field::name);
  return found == fields.end() ? nullptr : &*found;
}

std::string listed(std::span<const Field> fields) {
  std::string text;
  for (const Field& field : fields) {
    if (!text.empty()) text += ", ";
    text += field.name;
  }
  return text;
}

Result<void> check_presence(std::span<const Field> fields, const Value::Object& members,
                            const Path& path) {
  for (const Field& field : fields) {
    if (field.optional || field.presence != Presence::kByType) continue;
    if (std::ranges::find(members, field.name, &Member::name) == members.end()) {
      return fail(ErrorKind::kInvalid, "{} is missing; it must be {}",
                  Path(path, field.name).text(), field.type->wanted());
    }
  }
  return {};
}

}  // namespace

const Type kBool{.read = read_bool,
                 .write = [](const void* from,
                             Writer& writer) { writer.boolean(*static_cast<const bool*>(from)); },
                 .wanted = [] { return std::string("true or false"); }};

const Type kString{
    .read = read_string,
    .write = [](const void* from,
                Writer& writer) { writer.string(*static_cast<const std::string*>(from)); },
    .wanted = [] { return std::string("a string"); }};

const Type kValue{.read = [](const Value& value, const Path&, void* into) -> Result<void> {
                    *static_cast<Value*>(into) = value;
                    return {};
                  },
                  .write = [](const void* from,
                              Writer& writer) { writer.value(*static_cast<const Value*>(from)); },
                  .wanted = [] { return std::string("any value"); }};

Result<void> read_struct(std::span<const Field> fields, const Value& value, const Path& path,
                         void* object) {
  const auto* members = value.as<Value::Object>();
  if (members == nullptr) return mismatch(path, value, "an object");
  for (const Member& member : *members) {
    const Path place(path, member.name);
    const Field* field = field_named(fields, member.name);
    if (field == nullptr) {
      return fail(ErrorKind::kInvalid, "{} is not a known field; known here are {}", place.text(),
                  listed(fields));
    }
    if (field->optional && member.value.is_null()) continue;
    MOTE_CHECK(field->type->read(member.value, place, field->member(object)));
  }
  return check_presence(fields, *members, path);
}

void write_struct(std::span<const Field> fields, const void* object, Writer& writer) {
  writer.begin_object();
  for (const Field& field : fields) {
    if (field.at_default != nullptr && field.at_default(object)) continue;
    writer.key(field.name);
    // Only read through: one accessor serves both directions.
    field.type->write(field.member(const_cast<void*>(object)), writer);
  }
  writer.end_object();
}

Result<std::int64_t> read_enum(std::span<const Enumerator> names, const Value& value,
                               const Path& path) {
  if (const auto* text = value.as<std::string>()) {
    const auto found = std::ranges::find(names, *text, &Enumerator::name);
    if (found != names.end()) return found->value;
  }
  return mismatch(path, value, wanted_enum(names));
}

void write_enum(std::span<const Enumerator> names, std::int64_t value, Writer& writer) {
  const auto found = std::ranges::find(names, value, &Enumerator::value);
  found == names.end() ? writer.null() : writer.string(found->name);
}

std::string wanted_enum(std::span<const Enumerator> names) {
  std::string text = names.size() > 1 ? "one of " : "";
  for (const Enumerator& known : names) {
    if (&known != &names.front()) text += ", ";
    text += quote(known.name);
  }
  return text;
}

std::string wanted_signed(std::int64_t lowest, std::int64_t highest) {
  return fmt::format("a whole number from {} to {}", lowest, highest);
}

std::string wanted_unsigned(std::uint64_t highest) {
  return fmt::format("a whole number from 0 to {}", highest);
}

Result<std::int64_t> read_signed(const Value& value, const Path& path, std::int64_t lowest,
                                 std::int64_t highest) {
  const auto* number = value.as<std::int64_t>();
  if (number != nullptr && *number >= lowest && *number <= highest) return *number;
  return mismatch(path, value, wanted_signed(lowest, highest));
}

Result<std::uint64_t> read_unsigned(const Value& value, const Path& path, std::uint64_t highest) {
  std::optional<std::uint64_t> number;
  if (const auto* small = value.as<std::int64_t>(); small != nullptr && *small >= 0) {
    number = static_cast<std::uint64_t>(*small);
  } else if (const auto* large = value.as<std::uint64_t>()) {
    number = *large;
  }
  if (number && *number <= highest) return *number;
  return mismatch(path, value, wanted_unsigned(highest));
}

}  // namespace mote::json::detail

// What a described struct or enum says about its JSON beyond its members' names and types. Found by
// argument-dependent lookup, so it stands beside the type:
//   constexpr auto json_rules(const MachineConfig*) { return std::array{json::defaulted("smt")}; }
//   constexpr auto json_names(HugePages) { return std::array{json::name(HugePages::TwoMib, "2M")};
//   }
#pragma once

#include <array>
#include <string_view>

namespace mote::json {

enum class Presence {
  kByType,     // a std::optional may be absent or null, anything else is required
  kDefaulted,  // may be absent (though not null) and keeps the struct's own value then
  kNullable,   // may be absent or null and keeps the struct's own value then
  kSparse,     // may be absent or null, and is not written while it has the struct's own value
};

struct FieldRule {
  std::string_view member;     // of the struct
  std::string_view name = {};  // in JSON, where it differs
  Presence presence = Presence::kByType;
};

// A field whose name in JSON is no identifier of C++.
constexpr FieldRule named(std::string_view member, std::string_view name) {
  return {.member = member, .name = name};
}
// A field that need not be given.
constexpr FieldRule defaulted(std::string_view member) {
  return {.member = member, .presence = Presence::kDefaulted};
}
// A field that need not be given, or may be null; `name` is its name in JSON, where it differs.
constexpr FieldRule nullable(std::string_view member, std::string_view name = {}) {
  return {.member = member, .name = name, .presence = Presence::kNullable};
}
// A field that need not be given and that a client who does not know it never meets: those of our
// own.
constexpr FieldRule sparse(std::string_view member) {
  return {.member = member, .presence = Presence::kSparse};
}

template <typename Enum>
struct EnumeratorName {
  Enum value;
  std::string_view name;
};

// The name of an enumerator in JSON, where it differs.
template <typename Enum>
constexpr EnumeratorName<Enum> name(Enum value, std::string_view text) {
  return {value, text};
}

}  // namespace mote::json

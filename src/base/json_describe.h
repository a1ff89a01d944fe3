// JSON <-> structs described with Boost.Describe. One description serves both ways; json_rules.h
// has what it may say beyond members and types. Reading is strict: an unknown, missing, mistyped or
// out-of-range field is an error that names its path, what was found and what would be right.
//
// A struct's members come after those of its described bases, whose rules hold for them.
//
// Types of members: bool, integers, std::string, described enums and structs, json::Value
// (anything), and std::optional and std::vector of these.
#pragma once

#include <array>
#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <concepts>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/json_rules.h"

namespace mote::json {

namespace detail {

// What a type asks of a value. The templates below only make tables of these; the work is done in
// json_describe.cc, once.
struct Type {
  Result<void> (*read)(const Value& value, const Path& path, void* into);
  void (*write)(const void* from, Writer& writer);
  std::string (*wanted)();  // "a string"
};

struct Field {
  std::string_view name;
  Presence presence;
  bool optional;  // null is absence
  const Type* type;
  void* (*member)(void* object);
  bool (*at_default)(const void* object);  // null: always written
};

struct Enumerator {
  std::string_view name;
  std::int64_t value;
};

Result<void> read_struct(std::span<const Field> fields, const Value& value, const Path& path,
                         void* object);
void write_struct(std::span<const Field> fields, const void* object, Writer& writer);
Result<std::int64_t> read_enum(std::span<const Enumerator> names, const Value& value,
                               const Path& path);
void write_enum(std::span<const Enumerator> names, std::int64_t value, Writer& writer);
std::string wanted_enum(std::span<const Enumerator> names);
Result<std::int64_t> read_signed(const Value& value, const Path& path, std::int64_t lowest,
                                 std::int64_t highest);
Result<std::uint64_t> read_unsigned(const Value& value, const Path& path, std::uint64_t highest);
std::string wanted_signed(std::int64_t lowest, std::int64_t highest);
std::string wanted_unsigned(std::uint64_t highest);
extern const Type kBool;
extern const Type kString;
extern const Type kValue;

template <typename T>
struct TypeOf;

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

// Enums.

template <typename E>
constexpr std::string_view enumerator_name(E value, std::string_view described) {
  if constexpr (requires { json_names(E{}); }) {
    for (const auto& known : json_names(E{})) {
      if (known.value == value) return known.name;
    }
  }
  return described;
}

template <typename E, typename List = boost::describe::describe_enumerators<E>>
struct Enumerators;
template <typename E, template <typename...> typename List, typename... D>
struct Enumerators<E, List<D...>> {
  static constexpr std::array<Enumerator, sizeof...(D)> kTable{
      Enumerator{enumerator_name<E>(D::value, D::name), static_cast<std::int64_t>(D::value)}...};
};

// Structs.

template <typename T>
constexpr FieldRule rule_of(std::string_view member) {
  if constexpr (requires { json_rules(static_cast<const T*>(nullptr)); }) {
    for (const FieldRule& rule : json_rules(static_cast<const T*>(nullptr))) {
      if (rule.member == member) return rule;
    }
  }
  return {.member = member};
}

// The name in JSON of `member` of T.
template <typename T>
constexpr std::string_view name_of_member(std::string_view member) {
  const FieldRule rule = rule_of<T>(member);
  return rule.name.empty() ? member : rule.name;
}

// The struct that a member is of: of T itself, or a base of it.
template <typename Member, typename Owner>
Owner owner_of(Member Owner::*);

template <typename T, auto kPointer>
struct MemberOf {
  using Type = std::remove_reference_t<decltype(std::declval<T&>().*kPointer)>;
  static void* get(void* object) { return &(static_cast<T*>(object)->*kPointer); }
  static bool at_default(const void* object) {
    const Type& member = static_cast<const T*>(object)->*kPointer;
    // What cannot be compared is at its default when it is absent.
    if constexpr (std::equality_comparable<Type>)
      return member == T{}.*kPointer;
    else
      return !member.has_value();
  }
};

template <typename T, typename D>
constexpr Field field_of() {
  using Member = MemberOf<T, D::pointer>;
  using Owner = decltype(owner_of(D::pointer));
  constexpr FieldRule kRule = rule_of<Owner>(D::name);
  constexpr bool kSparse = kRule.presence == Presence::kSparse;
  Field field{.name = name_of_member<Owner>(D::name),
              .presence = kRule.presence,
              .optional = kSparse || kRule.presence == Presence::kNullable ||
                          kIsOptional<typename Member::Type>,
              .type = &TypeOf<typename Member::Type>::kType,
              .member = &Member::get,
              .at_default = nullptr};
  if constexpr (kSparse) field.at_default = &Member::at_default;
  return field;
}

template <typename T, typename List = boost::describe::describe_members<
                          T, boost::describe::mod_public | boost::describe::mod_inherited>>
struct Fields;
template <typename T, template <typename...> typename List, typename... D>
struct Fields<T, List<D...>> {
  static constexpr bool rules_name_members() {
    if constexpr (requires { json_rules(static_cast<const T*>(nullptr)); }) {
      for (const FieldRule& rule : json_rules(static_cast<const T*>(nullptr))) {
        if (!((rule.member == std::string_view(D::name)) || ...)) return false;
      }
    }
    return true;
  }
  static_assert(rules_name_members(), "a rule names no member of the struct");
  static constexpr std::array<Field, sizeof...(D)> kTable{field_of<T, D>()...};
};

// What each type asks.

template <>
struct TypeOf<bool> {
  static constexpr const Type& kType = kBool;
};
template <>
struct TypeOf<std::string> {
  static constexpr const Type& kType = kString;
};
template <>
struct TypeOf<Value> {
  static constexpr const Type& kType = kValue;
};

template <std::signed_integral T>
struct TypeOf<T> {
  using Range = std::numeric_limits<T>;
  static constexpr Type kType{
      .read = [](const Value& value, const Path& path, void* into) -> Result<void> {
        MOTE_TRY(const std::int64_t number, read_signed(value, path, Range::min(), Range::max()));
        *static_cast<T*>(into) = static_cast<T>(number);
        return {};
      },
      .write = [](const void* from,
                  Writer& writer) { writer.integer(std::int64_t{*static_cast<const T*>(from)}); },
      .wanted = [] { return wanted_signed(Range::min(), Range::max()); }};
};

template <std::unsigned_integral T>
struct TypeOf<T> {
  using Range = std::numeric_limits<T>;
  static constexpr Type kType{
      .read = [](const Value& value, const Path& path, void* into) -> Result<void> {
        MOTE_TRY(const std::uint64_t number, read_unsigned(value, path, Range::max()));
        *static_cast<T*>(into) = static_cast<T>(number);
        return {};
      },
      .write = [](const void* from,
                  Writer& writer) { writer.integer(std::uint64_t{*static_cast<const T*>(from)}); },
      .wanted = [] { return wanted_unsigned(Range::max()); }};
};

template <typename T>
  requires std::is_enum_v<T>
struct TypeOf<T> {
  static constexpr Type kType{
      .read = [](const Value& value, const Path& path, void* into) -> Result<void> {
        MOTE_TRY(const std::int64_t number, read_enum(Enumerators<T>::kTable, value, path));
        *static_cast<T*>(into) = static_cast<T>(number);
        return {};
      },
      .write =
          [](const void* from, Writer& writer) {
            write_enum(Enumerators<T>::kTable,
                       static_cast<std::int64_t>(*static_cast<const T*>(from)), writer);
          },
      .wanted = [] { return wanted_enum(Enumerators<T>::kTable); }};
};

template <typename T>
  requires std::is_class_v<T> && boost::describe::has_describe_members<T>::value
struct TypeOf<T> {
  static constexpr Type kType{
      .read = [](const Value& value, const Path& path, void* into) -> Result<void> {
        return read_struct(Fields<T>::kTable, value, path, into);
      },
      .write = [](const void* from,
                  Writer& writer) { write_struct(Fields<T>::kTable, from, writer); },
      .wanted = [] { return std::string("an object"); }};
};

// Whoever reads an optional has seen to null before.
template <typename T>
struct TypeOf<std::optional<T>> {
  static constexpr Type kType{
      .read = [](const Value& value, const Path& path, void* into) -> Result<void> {
        return TypeOf<T>::kType.read(value, path, &static_cast<std::optional<T>*>(into)->emplace());
      },
      .write =
          [](const void* from, Writer& writer) {
            const auto& optional = *static_cast<const std::optional<T>*>(from);
            optional ? TypeOf<T>::kType.write(&*optional, writer) : writer.null();
          },
      .wanted = [] { return TypeOf<T>::kType.wanted(); }};
};

template <typename T>
struct TypeOf<std::vector<T>> {
  static constexpr Type kType{
      .read = [](const Value& value, const Path& path, void* into) -> Result<void> {
        const auto* array = value.as<Value::Array>();
        if (array == nullptr) return mismatch(path, value, "a list");
        auto& list = *static_cast<std::vector<T>*>(into);
        list.clear();
        list.reserve(array->size());
        for (std::size_t i = 0; i < array->size(); ++i) {
          MOTE_CHECK(TypeOf<T>::kType.read((*array)[i], Path(path, i), &list.emplace_back()));
        }
        return {};
      },
      .write =
          [](const void* from, Writer& writer) {
            writer.begin_array();
            for (const T& item : *static_cast<const std::vector<T>*>(from)) {
              TypeOf<T>::kType.write(&item, writer);
            }
            writer.end_array();
          },
      .wanted = [] { return std::string("a list"); }};
};

}  // namespace detail

// The name in JSON of T's member that Boost.Describe knows as Descriptor.
template <typename T, typename Descriptor>
constexpr std::string_view member_name() {
  return detail::name_of_member<T>(Descriptor::name);
}

// A T from `value`, which stands at `path`.
template <typename T>
Result<T> from_value(const Value& value, const Path& path = Path()) {
  T object{};
  MOTE_CHECK(detail::TypeOf<T>::kType.read(value, path, &object));
  return object;
}

// A T from JSON text; messages call the text `document`.
template <typename T>
Result<T> read(std::string_view text, const Path& document = Path(), const Limits& limits = {}) {
  MOTE_TRY(const Value value, parse(text, document, limits));
  return from_value<T>(value, document);
}

// JSON text of `object`, members in the order of their description; an absent optional is null.
template <typename T>
std::string write(const T& object) {
  Writer writer;
  detail::TypeOf<T>::kType.write(&object, writer);
  return std::move(writer).take();
}

}  // namespace mote::json

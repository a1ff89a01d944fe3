// What a state file holds, as text: a line a struct, with its version, its members and their types.
#pragma once

#include <boost/mp11/algorithm.hpp>
#include <map>
#include <string>

#include "snapshot/describe.h"

namespace mote::snapshot::test {

// Structs by name: "v1 { rax: unsigned long, ... }".
using Layout = std::map<std::string, std::string>;

template <typename T>
struct TextOf;

template <typename T>
std::string text_of(Layout& layout) {
  return TextOf<T>::text(layout);
}

template <typename T>
struct TextOf {
  static std::string text(Layout& layout) {
    if constexpr (std::is_same_v<T, std::string>) {
      return "text";
    } else if constexpr (std::is_same_v<T, bool>) {
      return "bool";
    } else if constexpr (std::is_integral_v<T>) {
      return fmt::format("{}{}", std::is_signed_v<T> ? "i" : "u", 8 * sizeof(T));
    } else if constexpr (std::is_enum_v<T>) {
      return fmt::format("enum {}", detail::type_name<T>());
    } else if constexpr (detail::kIsDescribed<T>) {
      return describe(layout);
    } else {
      return fmt::format("{} bytes", sizeof(T));
    }
  }

 private:
  static std::string describe(Layout& layout) {
    const std::string name(detail::type_name<T>());
    if (layout.contains(name)) return name;
    layout[name] = "";
    std::string members;
    using Members = boost::describe::describe_members<T, boost::describe::mod_public |
                                                             boost::describe::mod_inherited>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
      using Type = std::remove_cvref_t<decltype(std::declval<T&>().*member.pointer)>;
      members +=
          fmt::format("{}{}: {}", members.empty() ? "" : ", ", member.name, text_of<Type>(layout));
    });
    layout[name] = fmt::format("v{} {{ {} }}", detail::version_of<T>(), members);
    return name;
  }
};

template <>
struct TextOf<std::byte> {
  static std::string text(Layout&) { return "byte"; }
};
template <typename T>
struct TextOf<std::optional<T>> {
  static std::string text(Layout& layout) { return "optional " + text_of<T>(layout); }
};
template <typename T>
struct TextOf<std::vector<T>> {
  static std::string text(Layout& layout) { return "list of " + text_of<T>(layout); }
};
template <typename T, std::size_t kCount>
struct TextOf<T[kCount]> {
  static std::string text(Layout& layout) {
    return fmt::format("{} of {}", kCount, text_of<T>(layout));
  }
};
template <typename T, std::size_t kCount>
struct TextOf<std::array<T, kCount>> : TextOf<T[kCount]> {};
template <typename... T>
struct TextOf<std::variant<T...>> {
  static std::string text(Layout& layout) {
    std::string text;
    ((text += (text.empty() ? "" : " or ") + text_of<T>(layout)), ...);
    return text;
  }
};

}  // namespace mote::snapshot::test

// The one mechanism that turns counters into named numbers.
//
// A group of metrics is a list of keys, in the order in which they are printed. Its numbers are the
// members, of the same names, of the described structs that count them: integers and Counters,
// Gauges, and LatencyAggregates, which are an object of three numbers inside the group.
#pragma once

#include <algorithm>
#include <array>
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/counters.h"

namespace mote::api::firecracker {

enum class FieldKind : std::uint8_t {
  kCounter,  // printed as what came since the line before
  kGauge,    // printed as it is
  kMinimum,  // as well; of several devices the smallest that is not 0
};

struct Field {
  std::string_view outer;  // the object inside the group that holds it: "read_agg"; empty: none
  std::string_view name;
  FieldKind kind = FieldKind::kCounter;
};

// A number that one of a group's structs has and the group has no key for.
struct OwnNumber {
  Field field;
  std::uint64_t value = 0;
};

namespace detail {

template <typename Type>
inline constexpr std::size_t kWidth = std::is_same_v<Type, LatencyAggregate> ? 3 : 1;

// Calls `use(member, type)` for each member of Source.
template <typename Source, typename Use>
constexpr void for_each_member(Use use) {
  boost::mp11::mp_for_each<boost::describe::describe_members<Source, boost::describe::mod_public>>(
      [&](auto member) {
        using Type = std::remove_cvref_t<decltype(std::declval<Source&>().*member.pointer)>;
        use(member, std::type_identity<Type>());
      });
}

// How many numbers the member called `name` is; 0: there is none.
template <typename Source>
consteval std::size_t width_of(std::string_view name) {
  std::size_t width = 0;
  for_each_member<Source>([&](auto member, auto type) {
    if (name == member.name) width = kWidth<typename decltype(type)::type>;
  });
  return width;
}

template <typename Type>
constexpr void describe(std::string_view name, std::span<Field> into) {
  if constexpr (std::is_same_v<Type, LatencyAggregate>) {
    into[0] = {name, "min_us", FieldKind::kMinimum};
    into[1] = {name, "max_us", FieldKind::kGauge};
    into[2] = {name, "sum_us", FieldKind::kCounter};
  } else {
    into[0] = {{}, name, std::is_same_v<Type, Gauge> ? FieldKind::kGauge : FieldKind::kCounter};
  }
}

template <typename Source>
constexpr void describe_member(std::string_view name, std::span<Field> into) {
  for_each_member<Source>([&](auto member, auto type) {
    if (name == member.name) describe<typename decltype(type)::type>(name, into);
  });
}

inline void read(const LatencyAggregate& from, std::uint64_t* into) {
  into[0] = from.min_us;
  into[1] = from.max_us;
  into[2] = from.sum_us;
}
inline void read(std::uint64_t from, std::uint64_t* into) { *into = from; }

// Whether `key` is one that Group says nothing in mote can count.
template <typename Group>
consteval bool is_never_counted(std::string_view key) {
  if constexpr (requires { Group::kNeverCounted; }) {
    return std::ranges::find(Group::kNeverCounted, key) != Group::kNeverCounted.end();
  }
  return false;
}

// How many numbers `key` is; a key that is not counted in exactly one place has none, which does
// not compile.
template <typename Group, typename... Source>
consteval std::size_t width_of_key(std::string_view key) {
  const std::size_t places = (std::size_t{width_of<Source>(key) > 0} + ... + 0);
  if (is_never_counted<Group>(key)) return places == 0 ? 1 : 0;
  return places == 1 ? (width_of<Source>(key) + ...) : 0;
}

template <typename Group, typename... Source>
consteval std::size_t width() {
  std::size_t width = 0;
  for (const std::string_view key : Group::kKeys) width += width_of_key<Group, Source...>(key);
  return width;
}

template <typename Group, typename... Source>
consteval bool all_counted() {
  return std::ranges::all_of(
      Group::kKeys, [](std::string_view key) { return width_of_key<Group, Source...>(key) > 0; });
}

}  // namespace detail

// The group whose keys are the members of Source, all of them.
template <typename Source>
struct Whole {
  static constexpr auto kKeys = [] {
    constexpr std::size_t kCount = [] {
      std::size_t count = 0;
      detail::for_each_member<Source>([&](auto, auto) { ++count; });
      return count;
    }();
    std::array<std::string_view, kCount> keys{};
    std::size_t at = 0;
    detail::for_each_member<Source>([&](auto member, auto) { keys[at++] = member.name; });
    return keys;
  }();
};

// The fields of Group where `Source...` count it.
template <typename Group, typename... Source>
inline constexpr auto kFields = [] {
  std::array<Field, detail::width<Group, Source...>()> fields{};
  std::size_t at = 0;
  for (const std::string_view key : Group::kKeys) {
    const auto into = std::span(fields).subspan(at);
    if (detail::is_never_counted<Group>(key)) into[0] = {{}, key, FieldKind::kCounter};
    (detail::describe_member<Source>(key, into), ...);
    at += detail::width_of_key<Group, Source...>(key);
  }
  return fields;
}();

// The numbers of Group, in the order of kFields.
template <typename Group, typename... Source>
auto numbers_of(const Source&... sources) {
  std::array<std::uint64_t, kFields<Group, Source...>.size()> numbers{};
  constexpr auto offset = [](std::string_view key) {
    std::size_t at = 0;
    for (const std::string_view before : Group::kKeys) {
      if (before == key) break;
      at += detail::width_of_key<Group, Source...>(before);
    }
    return at;
  };
  const auto read_all = [&]<typename From>(const From& source) {
    detail::for_each_member<From>([&](auto member, auto) {
      constexpr std::string_view kName = decltype(member)::name;
      if constexpr (std::ranges::find(Group::kKeys, kName) != Group::kKeys.end()) {
        constexpr std::size_t kAt = offset(kName);
        detail::read(source.*member.pointer, numbers.data() + kAt);
      }
    });
  };
  static_assert(detail::all_counted<Group, Source...>(),
                "each key is counted in one place, or is listed as never counted");
  (read_all(sources), ...);
  return numbers;
}

// Calls `use` with each OwnNumber of `source` beside Group.
template <typename Group, typename Source, typename Use>
void for_each_own(const Source& source, Use use) {
  detail::for_each_member<Source>([&](auto member, auto type) {
    using Type = typename decltype(type)::type;
    constexpr std::string_view kName = decltype(member)::name;
    if constexpr (std::ranges::find(Group::kKeys, kName) == Group::kKeys.end()) {
      std::array<Field, detail::kWidth<Type>> fields{};
      std::array<std::uint64_t, detail::kWidth<Type>> values{};
      detail::describe<Type>(kName, fields);
      detail::read(source.*member.pointer, values.data());
      for (std::size_t i = 0; i < fields.size(); ++i) use(OwnNumber{fields[i], values[i]});
    }
  });
}

// Adds the numbers of a further device to `sums`.
inline void add_numbers(std::span<const Field> fields, std::span<const std::uint64_t> numbers,
                        std::span<std::uint64_t> sums) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].kind == FieldKind::kCounter) {
      sums[i] += numbers[i];
    } else if (fields[i].kind == FieldKind::kGauge) {
      sums[i] = std::max(sums[i], numbers[i]);
    } else if (sums[i] == 0 || (numbers[i] != 0 && numbers[i] < sums[i])) {
      sums[i] = numbers[i];
    }
  }
}

}  // namespace mote::api::firecracker

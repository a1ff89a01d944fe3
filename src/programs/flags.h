// Command lines by Firecracker's rules: every flag is long, a value is the next argument, and
// nothing may be given twice but what is meant to be.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace mote {

// Whether a flag may be given more than once; a table of flags that has such marks them with
// `many`.
template <typename Flag>
constexpr bool is_many(const Flag& flag) {
  if constexpr (requires { flag.many; }) return flag.many;
  return false;
}

// Reads `list` by a table of flags, each with a `name` and what its value is called (`value`, empty
// where it takes none), and calls `set(flag, value)` for each that is given. Errors: an unknown
// flag, one given twice, a value that is missing or too many, and whatever `set` returns.
template <typename Flags, typename Set>
Result<void> read_flags(std::span<const std::string_view> list, const Flags& flags,
                        std::string_view program, Set set);

// A number as Firecracker reads it: decimal, perhaps with a plus before it, below 2^64.
Result<std::uint64_t> read_number(std::string_view text);

// An instance's id: 1 to 64 letters (of ASCII), digits and hyphens. The error names the flag --id.
Result<void> check_id(std::string_view id);

namespace detail {
std::unexpected<Error> unknown_flag(std::string_view name, std::string_view program);
std::unexpected<Error> flag_twice(std::string_view name);
std::unexpected<Error> flag_without_value(std::string_view name, std::string_view value);
}  // namespace detail

template <typename Flags, typename Set>
Result<void> read_flags(std::span<const std::string_view> list, const Flags& flags,
                        std::string_view program, Set set) {
  std::vector<std::string_view> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto flag = std::ranges::find(flags, list[i], [](const auto& one) { return one.name; });
    if (flag == std::end(flags)) return detail::unknown_flag(list[i], program);
    if (!is_many(*flag) && std::ranges::find(seen, flag->name) != seen.end()) {
      return detail::flag_twice(flag->name);
    }
    seen.push_back(flag->name);
    std::string_view value;
    if (!flag->value.empty()) {
      if (i + 1 == list.size() || list[i + 1].starts_with("--")) {
        return detail::flag_without_value(flag->name, flag->value);
      }
      value = list[++i];
    }
    MOTE_CHECK(set(*flag, value));
  }
  return {};
}

}  // namespace mote

#include "programs/flags.h"

#include <charconv>
#include <limits>

namespace mote {
namespace {

template <typename... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, format, std::forward<Args>(args)...);
}

}  // namespace

namespace detail {

std::unexpected<Error> unknown_flag(std::string_view name, std::string_view program) {
  if (const auto equals = name.find('='); name.starts_with("--") && equals != name.npos) {
    return refuse("{}: a value is an argument of its own: {} {}", json::quote(name),
                  name.substr(0, equals), name.substr(equals + 1));
  }
  return refuse("{} is not a flag of {}; --help lists them", json::quote(name), program);
}

std::unexpected<Error> flag_twice(std::string_view name) {
  return refuse("{} is given twice; give it once", name);
}

std::unexpected<Error> flag_without_value(std::string_view name, std::string_view value) {
  return refuse("{} lacks its value; give {} {}", name, name, value);
}

}  // namespace detail

Result<std::uint64_t> read_number(std::string_view text) {
  std::uint64_t value = 0;
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return refuse("{} is no number; it must be one from 0 to {}", json::quote(text),
                  std::numeric_limits<std::uint64_t>::max());
  }
  return value;
}

Result<void> check_id(std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (!id.empty() && id.size() <= 64 && std::ranges::all_of(id, allowed)) return {};
  return refuse("--id is {}; it must be 1 to 64 letters (of ASCII), digits and hyphens",
                json::quote(id));
}

}  // namespace mote

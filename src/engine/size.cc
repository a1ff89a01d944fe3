#include "engine/size.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "base/json.h"

namespace mote::engine {
namespace {

constexpr std::string_view kUnits = "kmgt";

// The power of 1024 that a unit means; -1: it is none.
int power_of(std::string unit) {
  std::ranges::transform(unit, unit.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  if (unit.empty() || unit == "b") return 0;
  const auto place = kUnits.find(unit[0]);
  const std::string rest = unit.substr(1);
  if (place == kUnits.npos || !(rest.empty() || rest == "b" || rest == "ib")) return -1;
  return static_cast<int>(place) + 1;
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const int power = power_of(std::string(end, text.data() + text.size()));
  const bool overflow =
      error == std::errc::result_out_of_range || (power > 0 && number >> (64 - 10 * power) != 0);
  if (overflow)
    return fail(ErrorKind::kInvalid, "{} is more than any machine has", json::quote(text));
  if (error != std::errc() || power < 0) {
    return fail(ErrorKind::kInvalid,
                "{} is no size; it must be a whole number and a unit, as in 512M or 2G",
                json::quote(text));
  }
  return number << (10 * power);
}

}  // namespace mote::engine

#include <algorithm>
#include <charconv>
#include <span>

#include "base/json.h"
#include "isolation/seccomp/constants.h"
#include "isolation/seccomp/program.h"
#include "isolation/seccomp/rule_line.h"

namespace mote::seccomp {
namespace {

Result<std::uint64_t> one_value(std::string_view text) {
  if (text.empty()) return fail(ErrorKind::kInvalid, "a value is missing");
  if (text == "SELF") return kSelf;
  if (text == "CONNECTED") return kConnected;
  for (const MoteConstant& known : std::span(mote_constants, mote_constant_count)) {
    if (text == known.name) return known.value;
  }
  const bool hex = text.starts_with("0x");
  const std::string_view digits = hex ? text.substr(2) : text;
  std::uint64_t value = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, value, hex ? 16 : 10);
  if (error == std::errc() && end == last) return value;
  return fail(ErrorKind::kInvalid, "{} is neither a number nor a name that is known",
              json::quote(text));
}

}  // namespace

Result<std::uint64_t> value_of(std::string_view text) {
  std::uint64_t value = 0;
  do {
    const std::size_t bar = std::min(text.find('|'), text.size());
    MOTE_TRY(const std::uint64_t part, one_value(trim(text.substr(0, bar))));
    value |= part;
    if (bar == text.size()) return value;
    text.remove_prefix(bar + 1);
  } while (true);
}

}  // namespace mote::seccomp

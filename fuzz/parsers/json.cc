// JSON: what is read and written again reads as the same.
#include "base/json.h"

#include "fuzz/target.h"

namespace mote::fuzz {
namespace {

std::string written(const json::Value& value) {
  json::Writer writer;
  writer.value(value);
  return std::move(writer).take();
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(!json::quote(text).empty(), "any text can be quoted");
  const auto value = json::parse(text);
  if (!value) return;
  const std::string once = written(*value);
  // Writing may make a text longer, by escapes and digits.
  const auto again = json::parse(once, json::Path(), {.bytes = SIZE_MAX});
  if (!again) std::fprintf(stderr, "%s\n%s\n", once.c_str(), again.error().text().c_str());
  require(again.has_value(), "what was written can be read");
  require(written(*again) == once, "and is the same");
  require(!json::shown(*value).empty(), "any value can be shown");
}

std::vector<std::string> seeds() {
  return {
      R"({"a": [1, -2.5e3, true, null, "\u00e9\ud83d\ude00\n"], "b": {"c": 18446744073709551615}})",
      "[[[[0]]]]",
      R"("\ud83d")",
      "-0",
      "1e400",
      "9223372036854775808"};
}

}  // namespace mote::fuzz

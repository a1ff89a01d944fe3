#include "api_metrics/support.h"

#include <algorithm>

namespace mote::test {

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  if (!value) {
    ADD_FAILURE() << value.error().text() << ": " << text;
    return {};
  }
  return std::move(*value);
}

const json::Value& at(const json::Value& value, std::string_view path) {
  static const json::Value kNothing;
  const json::Value* here = &value;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    const std::string_view name = path.substr(0, dot);
    path = dot == path.npos ? std::string_view() : path.substr(dot + 1);
    const json::Value* next = nullptr;
    if (const auto* object = here->as<json::Value::Object>()) {
      const auto found = std::ranges::find(*object, name, &json::Member::name);
      if (found != object->end()) next = &found->value;
    }
    if (next == nullptr) {
      ADD_FAILURE() << "no " << name;
      return kNothing;
    }
    here = next;
  }
  return *here;
}

std::uint64_t number(const json::Value& value, std::string_view path) {
  const auto* found = at(value, path).as<std::int64_t>();
  EXPECT_NE(found, nullptr) << path;
  return found == nullptr ? 0 : static_cast<std::uint64_t>(*found);
}

std::vector<std::string> keys(const json::Value& value) {
  std::vector<std::string> names;
  if (const auto* object = value.as<json::Value::Object>()) {
    for (const json::Member& member : *object) names.push_back(member.name);
  }
  return names;
}

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    EXPECT_NE(end, text.npos) << "a line without an end: " << text;
    lines.emplace_back(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

}  // namespace mote::test

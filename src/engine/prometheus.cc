#include "engine/prometheus.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/json.h"

namespace mote::engine {
namespace {

// Groups of a device each, whose names end in its id.
constexpr std::array<std::string_view, 4> kDevices{"block", "net", "pmem", "vhost_user_block"};

// Whether a number is a value and not a count.
bool is_gauge(std::string_view group, std::string_view name) {
  static constexpr std::array<std::string_view, 3> kGroups{"api_server", "latencies_us", "signals"};
  return std::ranges::find(kGroups, group) != kGroups.end() || name.ends_with("_min_us") ||
         name.ends_with("_max_us") || name.ends_with("_time_us");
}

std::string escaped(std::string_view label) {
  std::string text;
  for (const char c : label) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return text;
}

// All samples of a name stand together in the text.
struct Family {
  std::string name;
  bool gauge = false;
  std::string samples;
};

class Text {
 public:
  explicit Text(std::string_view vm) : vm_(escaped(vm)) {}

  // False: the group is none.
  bool add(std::string_view name, const json::Value& group);
  std::string text() const;

 private:
  bool add_members(std::string_view group, std::string_view labels, std::string_view before,
                   const json::Value& members);
  void add_sample(std::string_view group, std::string_view labels, std::string_view name,
                  std::int64_t value);

  const std::string vm_;
  std::vector<Family> families_;
};

bool Text::add(std::string_view name, const json::Value& group) {
  std::string labels = fmt::format("vm=\"{}\"", vm_);
  for (const std::string_view device : kDevices) {
    if (name == device) return true;
    if (!name.starts_with(device) || name.substr(device.size()).front() != '_') continue;
    labels += fmt::format(",device=\"{}\"", escaped(name.substr(device.size() + 1)));
    return add_members(device, labels, {}, group);
  }
  return add_members(name, labels, {}, group);
}

bool Text::add_members(std::string_view group, std::string_view labels, std::string_view before,
                       const json::Value& members) {
  const auto* object = members.as<json::Value::Object>();
  if (object == nullptr) return false;
  for (const json::Member& member : *object) {
    const std::string name = std::string(before) + member.name;
    if (const auto* number = member.value.as<std::int64_t>()) {
      add_sample(group, labels, name, *number);
    } else if (!before.empty() || !add_members(group, labels, name + "_", member.value)) {
      return false;
    }
  }
  return true;
}

void Text::add_sample(std::string_view group, std::string_view labels, std::string_view name,
                      std::int64_t value) {
  const std::string full = fmt::format("mote_{}_{}", group, name);
  auto family = std::ranges::find(families_, full, &Family::name);
  if (family == families_.end()) {
    families_.push_back({.name = full, .gauge = is_gauge(group, name)});
    family = std::prev(families_.end());
  }
  family->samples += fmt::format("{}{{{}}} {}\n", full, labels, value);
}

std::string Text::text() const {
  std::string text;
  for (const Family& family : families_) {
    text += fmt::format("# TYPE {} {}\n{}", family.name, family.gauge ? "gauge" : "counter",
                        family.samples);
  }
  return text;
}

}  // namespace

Result<std::string> to_prometheus(std::string_view report) {
  const json::Path document("the answer");
  MOTE_TRY(const json::Value value, json::parse(report, document));
  const auto* groups = value.as<json::Value::Object>();
  if (groups == nullptr) return json::mismatch(document, value, "an object");
  const auto id = std::ranges::find(*groups, "id", &json::Member::name);
  const auto* vm = id == groups->end() ? nullptr : id->value.as<std::string>();
  Text text(vm == nullptr ? "" : *vm);
  for (const json::Member& member : *groups) {
    if (member.name == "id" || member.name == "utc_timestamp_ms") continue;
    if (!text.add(member.name, member.value)) {
      return json::mismatch(json::Path(document, member.name), member.value,
                            "an object of whole numbers");
    }
  }
  return text.text();
}

}  // namespace mote::engine

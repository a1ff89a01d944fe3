#include "programs/mote_jailer/values.h"

#include <algorithm>
#include <limits>

#include "base/json.h"
#include "programs/flags.h"

namespace mote::jailer {
namespace {

template <typename... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, format, std::forward<Args>(args)...);
}

}  // namespace

Result<std::uint32_t> parse_user(std::string_view text, std::string_view what) {
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  const auto value = read_number(text);
  if (value && *value < kNone) return static_cast<std::uint32_t>(*value);
  return refuse("{} is {}; it must be a number from 0 to {}, and no name", what, json::quote(text),
                kNone - 1);
}

Result<CgroupVersion> parse_cgroup_version(std::string_view text) {
  const auto value = read_number(text);
  if (value && *value == 1) return CgroupVersion::k1;
  if (value && *value == 2) return CgroupVersion::k2;
  return refuse("--cgroup-version is {}; it must be 1 or 2", json::quote(text));
}

Result<CgroupSetting> parse_cgroup(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0 || equals + 1 == text.size()) {
    return refuse("--cgroup is {}; it must be FILE=VALUE, such as cpu.shares=100",
                  json::quote(text));
  }
  CgroupSetting setting{.file = std::string(text.substr(0, equals)),
                        .value = std::string(text.substr(equals + 1))};
  const auto dot = setting.file.find('.');
  const bool named = dot != setting.file.npos && dot != 0 && dot + 1 != setting.file.size();
  if (!named || setting.file.contains('/') || setting.file.contains("..")) {
    return refuse("--cgroup {}: {} is no file of a controller; it must be CONTROLLER.NAME",
                  json::quote(text), json::quote(setting.file));
  }
  return setting;
}

Result<void> parse_limit(std::string_view text, Limits& limits) {
  const auto equals = text.find('=');
  const std::string_view resource = text.substr(0, equals);
  const bool is_size = resource == "fsize";
  if (equals == text.npos || (!is_size && resource != "no-file")) {
    return refuse("--resource-limit is {}; it must be fsize=BYTES or no-file=NUMBER",
                  json::quote(text));
  }
  const auto value = read_number(text.substr(equals + 1));
  if (!value) {
    return refuse("--resource-limit {}: {}", json::quote(text), value.error().message());
  }
  (is_size ? limits.fsize : limits.no_file) = *value;
  return {};
}

Result<void> check_parent_cgroup(std::string_view path) {
  const auto parts = isolation::jail::components(path);
  const bool walks =
      std::ranges::any_of(parts, [](std::string_view part) { return part == "." || part == ".."; });
  if (!path.starts_with('/') && !walks) return {};
  return refuse("--parent-cgroup is {}; it must be a path below the hierarchy, without . and ..",
                json::quote(path));
}

}  // namespace mote::jailer

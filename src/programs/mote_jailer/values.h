// What the values of mote-jailer's flags mean.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "isolation/jail/request.h"

namespace mote::jailer {

using isolation::jail::CgroupSetting;
using isolation::jail::CgroupVersion;
using isolation::jail::Limits;

// A user or group id: a number below 2^32 - 1, which the kernel takes for none. `what` names it in
// the error.
Result<std::uint32_t> parse_user(std::string_view text, std::string_view what);

Result<CgroupVersion> parse_cgroup_version(std::string_view text);

// `FILE=VALUE`; FILE is `controller.name` and no path.
Result<CgroupSetting> parse_cgroup(std::string_view text);

// `fsize=N` or `no-file=N`, into `limits`; a later one for the same resource counts.
Result<void> parse_limit(std::string_view text, Limits& limits);

// A path below a cgroup hierarchy: relative, without `.` and `..`; empty is the hierarchy itself.
Result<void> check_parent_cgroup(std::string_view path);

}  // namespace mote::jailer

// What a jailed process may do and use: limits, ids, capabilities, a core-scheduling cookie.
#pragma once

#include <array>

#include "base/result.h"
#include "isolation/jail/request.h"

namespace mote::isolation::jail {

// Sets the limits, soft and hard. Where nobody says how many descriptors, one who may not raise a
// hard limit that is lower than the default keeps it. Errors: the kernel refuses.
Result<void> set_limits(const Limits& limits, bool may_raise);

// The prctl(2) that gives a thread group a core-scheduling cookie of its own, so that no other's
// thread runs on the sibling of a core that it runs on (the kernel's core-scheduling.rst).
struct PrctlCall {
  int option;
  std::array<unsigned long, 4> arguments;
};
PrctlCall core_cookie_call();

// What an errno of that call means: 0: it has one; false: there are no siblings here, or the kernel
// schedules without regard to them. Anything else is an error.
Result<bool> judge_core_cookie(int code);

// Gives this process a cookie where the host has such.
Result<bool> take_core_cookie();

// Whatever this thread executes next has no capability in any set, and none to be had: bounding set
// empty, no_new_privs. It keeps its own until then.
Result<void> bound_rights();

// With its next exec, this thread becomes the user and group, with no other groups and no way back;
// before it, that is what it is to others, and what it may do stays. With `keep_groups` (a user
// namespace cannot change them) the groups stay.
Result<void> change_user_at_exec(uid_t uid, gid_t gid, bool keep_groups);

// Where that exec failed: this process has again what undoing takes.
void keep_rights_after_all();

}  // namespace mote::isolation::jail

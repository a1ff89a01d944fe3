// A user namespace, in which someone without privileges has those that making a jail takes.
#pragma once

#include "base/result.h"
#include "isolation/jail/request.h"

namespace mote::isolation::jail {

// Enters a user namespace, and a mount namespace that belongs to it. In it, `uid` and `gid` are
// what the caller is outside, and there is nobody else. Errors: the host allows no user namespaces.
Result<void> enter_user_namespace(uid_t uid, gid_t gid);

}  // namespace mote::isolation::jail

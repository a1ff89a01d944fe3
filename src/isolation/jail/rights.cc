#include "isolation/jail/rights.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace mote::isolation::jail {
namespace {

Result<void> set_limit(__rlimit_resource resource, std::uint64_t value, const char* name) {
  const rlimit limit{.rlim_cur = value, .rlim_max = value};
  if (::setrlimit(resource, &limit) == 0) return {};
  return fail_errno(errno, "--resource-limit {}={}", name, value);
}

// PR_CAPBSET_DROP of every capability that the kernel knows: it says which is the first that it
// does not.
Result<void> empty_bounding_set() {
  for (unsigned long capability = 0;; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL && capability > 0) return {};
    return fail_errno(errno, "drop capability {} from the bounding set", capability);
  }
}

// What an exec could hand on.
Result<void> empty_inheritable_sets() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) < 0)
    return fail_errno(errno, "read capabilities");
  for (auto& set : sets) set.inheritable = 0;
  if (::syscall(SYS_capset, &header, sets.data()) < 0 ||
      ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
    return fail_errno(errno, "drop inheritable capabilities");
  }
  return {};
}

}  // namespace

Result<void> set_limits(const Limits& limits, bool may_raise) {
  std::uint64_t descriptors = limits.no_file.value_or(Limits::kNoFile);
  rlimit now{};
  if (!limits.no_file && !may_raise && ::getrlimit(RLIMIT_NOFILE, &now) == 0) {
    descriptors = std::min<std::uint64_t>(descriptors, now.rlim_max);
  }
  MOTE_CHECK(set_limit(RLIMIT_NOFILE, descriptors, "no-file"));
  return limits.fsize ? set_limit(RLIMIT_FSIZE, *limits.fsize, "fsize") : Result<void>{};
}

PrctlCall core_cookie_call() {
  constexpr unsigned long kThisProcess = 0;
  return {.option = PR_SCHED_CORE,
          .arguments = {PR_SCHED_CORE_CREATE, kThisProcess, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0}};
}

Result<bool> judge_core_cookie(int code) {
  if (code == 0) return true;
  // ENODEV: no core has siblings. EINVAL: a kernel without CONFIG_SCHED_CORE.
  if (code == ENODEV || code == EINVAL) return false;
  return fail_errno(code, "take a core-scheduling cookie");
}

Result<bool> take_core_cookie() {
  const PrctlCall call = core_cookie_call();
  const auto& [command, pid, scope, pointer] = call.arguments;
  return judge_core_cookie(::prctl(call.option, command, pid, scope, pointer) == 0 ? 0 : errno);
}

// capabilities(7): without a bounding, an inheritable and an ambient set an exec gives none, not
// even to user 0.
Result<void> bound_rights() {
  MOTE_CHECK(empty_bounding_set());
  MOTE_CHECK(empty_inheritable_sets());
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail_errno(errno, "set no_new_privs");
  return {};
}

// credentials(7): an exec makes the saved ids the effective ones. The kernel's own calls: the C
// library's would have each thread of the process make them, the one that ends right now as well.
Result<void> change_user_at_exec(uid_t uid, gid_t gid, bool keep_groups) {
  if (!keep_groups && ::syscall(SYS_setgroups, 0, nullptr) < 0) {
    return fail_errno(errno, "leave all groups");
  }
  if (::syscall(SYS_setresgid, gid, gid, ::getegid()) < 0) {
    return fail_errno(errno, "become group {}", gid);
  }
  if (::syscall(SYS_setresuid, uid, uid, ::geteuid()) < 0) {
    return fail_errno(errno, "become user {}", uid);
  }
  return {};
}

void keep_rights_after_all() {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  if (::getresuid(&real, &effective, &saved) == 0) (void)::syscall(SYS_setresuid, -1, saved, -1);
}

}  // namespace mote::isolation::jail

#include "isolation/jail/user_ns.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <span>

#include "base/unique_fd.h"

namespace mote::isolation::jail {
namespace {

Result<void> write_text(const std::string& path, const std::string& text) {
  MOTE_TRY(const UniqueFd file, open_file(path, O_WRONLY));
  MOTE_CHECK_WITHIN(write_all(file.get(), std::as_bytes(std::span(text))), "write '{}'", path);
  return {};
}

}  // namespace

// user_namespaces(7): without privileges outside, a map may have one line, of one's own id, and
// setgroups must be given up first. The caller's supplementary groups stay: they are how it may
// open /dev/kvm.
Result<void> enter_user_namespace(uid_t uid, gid_t gid) {
  const uid_t outer_uid = ::geteuid();
  const gid_t outer_gid = ::getegid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
    return fail_errno(errno, "--user-ns: make a user namespace (does the host allow them?)");
  }
  MOTE_CHECK_WITHIN(write_text("/proc/self/setgroups", "deny"), "--user-ns");
  MOTE_CHECK_WITHIN(write_text("/proc/self/uid_map", fmt::format("{} {} 1", uid, outer_uid)),
                    "--user-ns: --uid {}", uid);
  MOTE_CHECK_WITHIN(write_text("/proc/self/gid_map", fmt::format("{} {} 1", gid, outer_gid)),
                    "--user-ns: --gid {}", gid);
  return {};
}

}  // namespace mote::isolation::jail

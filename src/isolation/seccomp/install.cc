#include "isolation/seccomp/install.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace mote::seccomp {
namespace {

constexpr std::uint16_t kCompare = BPF_JMP | BPF_JEQ | BPF_K;

bool has_stand_in(const sock_filter& it) { return it.code == kCompare && is_stand_in(it.k); }

Result<void> set_filter(Program program) {
  // The kernel only reads it; its declaration has no const.
  const sock_fprog argument{.len = static_cast<unsigned short>(program.size()),
                            .filter = const_cast<sock_filter*>(program.data())};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &argument) == 0) return {};
  if (errno == EINVAL || errno == ENOSYS) {
    return fail(ErrorKind::kUnsupported,
                "this kernel does not take a filter of system calls: {} (CONFIG_SECCOMP_FILTER?); "
                "--no-seccomp goes without",
                errno_text(errno));
  }
  return fail_errno(errno, "install a filter of system calls");
}

}  // namespace

Result<void> give_up_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return {};
  return fail_errno(errno, "set no_new_privs");
}

Result<void> install(Program program, bool connects) {
  if (std::ranges::none_of(program, has_stand_in)) return set_filter(program);
  OwnedProgram own(program.begin(), program.end());
  const auto self = static_cast<std::uint32_t>(::getpid());
  for (sock_filter& it : own) {
    if (!has_stand_in(it)) continue;
    if (it.k == kSelf) {
      it.k = self;
    } else if (connects) {
      it.k = AF_UNIX;
    }
  }
  return set_filter(own);
}

}  // namespace mote::seccomp

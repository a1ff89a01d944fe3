// A filter in force, in a process of its own.
#include "isolation/seccomp/install.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "isolation/seccomp/compile.h"

namespace mote::seccomp::test {
namespace {

OwnedProgram made_of(std::string_view text) {
  Tables tables(native_architecture());
  EXPECT_TRUE(tables.add(text, "t"));
  return *compile(tables.finish()->front(), native_architecture());
}

// The wait status of a child that installs the filter and does `work`, with nothing but calls.
template <typename Work>
int in_a_child(const OwnedProgram& program, Work work, bool connects = false) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSYS, SIG_DFL);
    if (!give_up_new_privileges() || !install(program, connects)) ::_exit(99);
    work();
    ::syscall(SYS_exit_group, 0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(Install, WhatIsNotAllowedEndsTheProcess) {
  const OwnedProgram program = made_of("[a]\nexit_group : ends\ngetppid : is harmless\n");
  EXPECT_EQ(in_a_child(program, [] { ::syscall(SYS_getppid); }), 0);
  const int status = in_a_child(program, [] { ::syscall(SYS_getuid); });
  ASSERT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
}

TEST(Install, ItselfIsWhoeverInstalls) {
  const OwnedProgram program =
      made_of("[a]\nexit_group : ends\ngetpid : x\ngettid : x\ntgkill(SELF, _, 0) : itself\n");
  EXPECT_EQ(in_a_child(program,
                       [] {
                         const auto self = ::syscall(SYS_getpid);
                         if (::syscall(SYS_tgkill, self, ::syscall(SYS_gettid), 0) != 0)
                           ::syscall(SYS_exit_group, 1);
                       }),
            0);
  const auto other = ::getpid();
  const int status = in_a_child(program, [other] { ::syscall(SYS_tgkill, other, other, 0); });
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
}

TEST(Install, SocketsAreForWhoeverConnectsThem) {
  const OwnedProgram program =
      made_of("[a]\nexit_group : ends\nsocket(CONNECTED, 1, 0) : a machine's\n");
  const auto make_one = [] { ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); };
  EXPECT_EQ(in_a_child(program, make_one, /*connects=*/true), 0);
  EXPECT_TRUE(WIFSIGNALED(in_a_child(program, make_one, /*connects=*/false)));
}

TEST(Install, AProgramThatTheKernelRefusesIsAnError) {
  const pid_t child = ::fork();
  if (child == 0) {
    const OwnedProgram bad{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 1)};
    ::_exit(give_up_new_privileges() && !install(bad) ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace mote::seccomp::test

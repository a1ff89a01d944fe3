// What the monitor's own filters let each thread do, and what not.
#include "isolation/seccomp/built_in.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <set>

#include "isolation/seccomp/built_in_tables.h"
#include "isolation_seccomp/run_program.h"

namespace mote::seccomp::test {
namespace {

constexpr std::array kAll{Filter::kSetup, Filter::kLaunch, Filter::kVmm,   Filter::kServed,
                          Filter::kApi,   Filter::kVcpu,   Filter::kWorker};
// All that a thread has once there is a guest.
constexpr std::array kRunning{Filter::kVmm, Filter::kServed, Filter::kApi, Filter::kVcpu,
                              Filter::kWorker};
constexpr std::array kOtherThreads{Filter::kApi, Filter::kVcpu, Filter::kWorker};

void expect_refused(Filter filter, const std::string& call,
                    std::initializer_list<std::uint64_t> arguments = {}) {
  EXPECT_EQ(run(built_in(filter), call, arguments), static_cast<std::uint32_t>(SECCOMP_RET_TRAP))
      << name_of(filter) << ": " << call;
}

std::size_t count_of(std::string_view thread) {
  const auto rules = built_in_rules();
  std::set<std::string> calls;
  for (const ThreadRules& one : *rules) {
    if (one.name != thread) continue;
    for (const Rule& rule : one.rules) calls.insert(rule.call);
  }
  return calls.size();
}

// Firecracker 1.17 allows 50, 31 and 27 on x86-64.
TEST(BuiltIn, AllowsFewerCallsThanFirecracker) {
  for (const Filter filter : kAll) EXPECT_GT(count_of(name_of(filter)), 10U) << name_of(filter);
  EXPECT_LT(count_of("vmm"), 50U);
  EXPECT_LT(count_of("served"), 50U);
  EXPECT_LT(count_of("api"), 31U);
  EXPECT_LT(count_of("vcpu"), 27U);
}

TEST(BuiltIn, EveryRuleHasItsReason) {
  const auto rules = built_in_rules();
  ASSERT_TRUE(rules) << rules.error().text();
  for (const ThreadRules& thread : *rules) {
    EXPECT_EQ(thread.otherwise.kind, Action::Kind::kTrap);
    for (const Rule& rule : thread.rules) EXPECT_GT(rule.reason.size(), 4U) << rule.place;
  }
}

TEST(BuiltIn, NoThreadDoesWhatNoMonitorNeeds) {
  for (const Filter filter : kAll) {
    for (const char* call : {"execve",
                             "execveat",
                             "fork",
                             "vfork",
                             "ptrace",
                             "process_vm_readv",
                             "process_vm_writev",
                             "kill",
                             "tkill",
                             "rt_sigqueueinfo",
                             "rt_tgsigqueueinfo",
                             "pidfd_getfd",
                             "pidfd_send_signal",
                             "bpf",
                             "perf_event_open",
                             "mount",
                             "umount2",
                             "move_mount",
                             "open_tree",
                             "fsopen",
                             "pivot_root",
                             "chroot",
                             "chdir",
                             "unshare",
                             "setns",
                             "setuid",
                             "setgid",
                             "setresuid",
                             "setgroups",
                             "capset",
                             "personality",
                             "keyctl",
                             "add_key",
                             "init_module",
                             "finit_module",
                             "kexec_load",
                             "reboot",
                             "swapon",
                             "symlink",
                             "link",
                             "mknod",
                             "chmod",
                             "chown",
                             "pkey_mprotect",
                             "remap_file_pages",
                             "shmat",
                             "splice",
                             "vmsplice",
                             "process_madvise",
                             "modify_ldt",
                             "iopl",
                             "ioperm",
                             "open_by_handle_at"}) {
      expect_refused(filter, call);
    }
  }
}

// For the end of a page-fault handler alone: what else a pidfd is good for, nobody may.
TEST(BuiltIn, OnlyWhoWatchesAHandlerOpensProcesses) {
  for (const Filter filter : {Filter::kVmm, Filter::kServed, Filter::kApi, Filter::kVcpu}) {
    expect_refused(filter, "pidfd_open");
  }
}

TEST(BuiltIn, NoThreadHasMemoryThatCanBeExecuted) {
  for (const Filter filter : kAll) {
    for (const std::uint64_t flags : {MAP_PRIVATE | MAP_ANONYMOUS, int{MAP_SHARED}}) {
      expect_refused(filter, "mmap", {0, 4096, PROT_READ | PROT_EXEC, flags});
      expect_refused(filter, "mmap", {0, 4096, PROT_EXEC, flags});
    }
    expect_refused(filter, "mprotect", {0, 4096, PROT_READ | PROT_EXEC});
    expect_refused(filter, "mprotect", {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC});
    EXPECT_TRUE(allows(built_in(filter), "mmap",
                       {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS}));
  }
}

TEST(BuiltIn, ThreadsAreMadeWhileItIsSetUpAndProcessesNever) {
  constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                    CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                    CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  EXPECT_TRUE(allows(built_in(Filter::kSetup), "clone", {kThread}));
  expect_refused(Filter::kSetup, "clone", {SIGCHLD});
  expect_refused(Filter::kSetup, "clone", {kThread | CLONE_NEWUSER});
  EXPECT_EQ(run(built_in(Filter::kSetup), "clone3"), SECCOMP_RET_ERRNO | ENOSYS);
  for (const Filter filter : kRunning) {
    expect_refused(filter, "clone", {kThread});
    expect_refused(filter, "clone3");
  }
}

TEST(BuiltIn, OnlyAThreadThatServesOpensFiles) {
  EXPECT_TRUE(allows(built_in(Filter::kSetup), "openat"));
  EXPECT_TRUE(allows(built_in(Filter::kServed), "openat"));
  for (const Filter filter : {Filter::kVmm, Filter::kApi, Filter::kVcpu, Filter::kWorker}) {
    expect_refused(filter, "openat");
    expect_refused(filter, "open");
    expect_refused(filter, "openat2");
    expect_refused(filter, "creat");
  }
}

TEST(BuiltIn, OnlyTheMachineThreadConnectsAndOnlyToUnixSockets) {
  constexpr std::uint64_t kStream = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  for (const Filter filter : {Filter::kSetup, Filter::kLaunch, Filter::kVmm, Filter::kServed}) {
    // Once it runs, only where its devices do (kConnected is AF_UNIX then).
    const bool sets_up = filter == Filter::kSetup || filter == Filter::kLaunch;
    const std::uint64_t own = sets_up ? std::uint64_t{AF_UNIX} : kConnected;
    EXPECT_TRUE(allows(built_in(filter), "socket", {own, kStream, 0}));
    if (!sets_up) expect_refused(filter, "socket", {AF_UNIX, kStream, 0});
    for (const std::uint64_t family : {AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK}) {
      expect_refused(filter, "socket", {family, kStream, 0});
    }
  }
  for (const Filter filter : kOtherThreads) {
    expect_refused(filter, "socket", {AF_UNIX, kStream, 0});
    expect_refused(filter, "connect");
    expect_refused(filter, "bind");
  }
  for (const Filter filter : kRunning) expect_refused(filter, "bind");
}

TEST(BuiltIn, AVmIsMadeOnce) {
  EXPECT_TRUE(allows(built_in(Filter::kSetup), "ioctl", {3, KVM_CREATE_VM}));
  for (const Filter filter : kRunning) {
    expect_refused(filter, "ioctl", {3, KVM_CREATE_VM});
    expect_refused(filter, "ioctl", {3, KVM_CREATE_VCPU});
    expect_refused(filter, "ioctl", {3, TIOCSTI});
  }
  for (const Filter filter : kOtherThreads) {
    expect_refused(filter, "ioctl", {3, KVM_SET_USER_MEMORY_REGION});
  }
}

TEST(BuiltIn, AVcpuRunsWhateverTheUpperHalfOfTheRequestSays) {
  EXPECT_TRUE(allows(built_in(Filter::kVcpu), "ioctl", {3, KVM_RUN}));
  EXPECT_TRUE(allows(built_in(Filter::kVcpu), "ioctl", {3, KVM_RUN | std::uint64_t{1} << 32}));
  for (const Filter filter : {Filter::kVmm, Filter::kServed, Filter::kApi, Filter::kWorker}) {
    expect_refused(filter, "ioctl", {3, KVM_RUN});
  }
}

// A ring of its own would do what its calls may not.
TEST(BuiltIn, NoRingIsMadeOnceTheGuestRuns) {
  EXPECT_TRUE(allows(built_in(Filter::kSetup), "io_uring_setup"));
  for (const Filter filter : kRunning) {
    expect_refused(filter, "io_uring_setup");
    expect_refused(filter, "io_uring_register", {3, IORING_REGISTER_FILES});
    expect_refused(filter, "io_uring_register", {3, IORING_REGISTER_ENABLE_RINGS});
  }
  EXPECT_TRUE(
      allows(built_in(Filter::kServed), "io_uring_register", {3, IORING_REGISTER_FILES_UPDATE}));
}

TEST(BuiltIn, SignalsGoToThisProcessAlone) {
  for (const Filter filter : kAll) {
    EXPECT_TRUE(allows(built_in(filter), "tgkill", {kSelf, 1, SIGABRT}));
    expect_refused(filter, "tgkill", {1, 1, SIGABRT});
    expect_refused(filter, "tgkill", {kSelf, 1, SIGKILL});
  }
}

TEST(BuiltIn, OtherAbisAreRefused) {
  for (const Filter filter : kAll) {
    // read, as a 32-bit program calls it, and in the x32 ABI.
    EXPECT_EQ(run(built_in(filter), seccomp_data{.nr = 3, .arch = AUDIT_ARCH_I386}),
              static_cast<std::uint32_t>(SECCOMP_RET_TRAP));
#if defined(__x86_64__)
    EXPECT_EQ(run(built_in(filter), seccomp_data{.nr = 0x40000001, .arch = AUDIT_ARCH_X86_64}),
              static_cast<std::uint32_t>(SECCOMP_RET_TRAP));
#endif
  }
}

TEST(BuiltIn, EachIsAProgramThatTheKernelTakes) {
  std::size_t instructions = 0;
  for (const Filter filter : kAll) {
    EXPECT_TRUE(check(built_in(filter))) << name_of(filter);
    instructions += built_in(filter).size();
  }
  // Of which the kernel keeps these and what it makes of them: far below 100 KiB.
  EXPECT_LT(instructions * sizeof(sock_filter), 16U << 10);
}

void expect_setup_allows(Filter setup, const ThreadRules& thread) {
  for (const Rule& rule : thread.rules) {
    std::array<std::uint64_t, 6> arguments{};
    for (const Condition& condition : rule.conditions) {
      arguments.at(condition.argument) = condition.value;
    }
    EXPECT_NE(
        run(built_in(setup), rule.call,
            {arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]}),
        static_cast<std::uint32_t>(SECCOMP_RET_TRAP))
        << name_of(setup) << ": " << rule.place;
  }
}

// Threads start under the filter of whoever starts them: what they may do, that must allow.
TEST(BuiltIn, SettingUpAllowsWhatThreadsDoThatStartThen) {
  const auto rules = built_in_rules();
  for (const ThreadRules& thread : *rules) {
    expect_setup_allows(Filter::kSetup, thread);
    if (thread.name != "setup" && thread.name != "served" && thread.name != "api")
      expect_setup_allows(Filter::kLaunch, thread);
  }
}

// There is nobody who could ask for one.
TEST(BuiltIn, WithoutAnApiNothingIsDoneForSnapshots) {
  for (const char* call : {"userfaultfd", "rename"}) {
    EXPECT_TRUE(allows(built_in(Filter::kSetup), call)) << call;
    expect_refused(Filter::kLaunch, call);
  }
  EXPECT_TRUE(allows(built_in(Filter::kSetup), "ioctl", {3, KVM_SET_LAPIC}));
  expect_refused(Filter::kLaunch, "ioctl", {3, KVM_SET_LAPIC});
}

TEST(BuiltIn, CallsHaveTheirNames) {
  EXPECT_EQ(call_name(0), "read");
  EXPECT_EQ(call_name(16), "ioctl");
  EXPECT_EQ(call_name(41), "socket");
  EXPECT_EQ(call_name(435), "clone3");
  EXPECT_EQ(call_name(-1), "unknown");
  EXPECT_EQ(call_name(100000), "unknown");
}

}  // namespace
}  // namespace mote::seccomp::test

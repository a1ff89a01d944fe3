// What is written when the program finds a defect in itself.
#include "programs/mote_vmm/last_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "temp_dir.h"

namespace mote::vmm {
namespace {

using api::firecracker::Metrics;
using testing::HasSubstr;

// A process that writes its metrics to `path` and then does `what`; the signal that it ends by.
template <typename Function>
int signal_of(const std::string& path, Function what) {
  const pid_t child = ::fork();
  if (child == 0) {
    Metrics metrics("anonymous-instance");
    if (!metrics.open({.metrics_path = path})) ::_exit(1);
    write_faults_to(metrics);
    what();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(LastWords, AnAbortIsCountedAndStaysOne) {
  const test::TempDir dir;
  EXPECT_EQ(signal_of(dir / "m", [] { std::abort(); }), SIGABRT);
  EXPECT_THAT(dir.read("m"), HasSubstr(R"("vmm":{"panic_count":1})"));
}

TEST(LastWords, OneThatSomebodySendsIsNoDefect) {
  const test::TempDir dir;
  const auto from_elsewhere = [] {
    const pid_t self = ::getpid();
    if (::fork() == 0) {
      ::kill(self, SIGABRT);
      ::_exit(0);
    }
    ::pause();
  };
  EXPECT_EQ(signal_of(dir / "m", from_elsewhere), SIGABRT);
  EXPECT_EQ(dir.read("m"), "");
}

TEST(LastWords, ABrokenPipeIsCountedAndNothingElse) {
  const test::TempDir dir;
  const auto break_pipes = [] {
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(1);
    ::close(ends[0]);
    const bool both = ::write(ends[1], "x", 1) < 0 && ::write(ends[1], "x", 1) < 0;
    if (!both || errno != EPIPE) ::_exit(1);
    std::abort();  // for a line
  };
  EXPECT_EQ(signal_of(dir / "m", break_pipes), SIGABRT);
  EXPECT_THAT(dir.read("m"), HasSubstr(R"("sigpipe":2)"));
}

TEST(LastWords, SignalsAreCountedUnderTheirNames) {
  api::firecracker::ProcessMetrics counts;
  for (const int signal : {SIGBUS, SIGSEGV, SIGXFSZ, SIGXCPU, SIGHUP, SIGILL, SIGSYS, SIGABRT}) {
    count_signal(counts, signal);
  }
  EXPECT_EQ(counts.signals.sigbus, 1U);
  EXPECT_EQ(counts.signals.sigsegv, 1U);
  EXPECT_EQ(counts.signals.sigxfsz, 1U);
  EXPECT_EQ(counts.signals.sigxcpu, 1U);
  EXPECT_EQ(counts.signals.sighup, 1U);
  EXPECT_EQ(counts.signals.sigill, 1U);
  EXPECT_EQ(counts.seccomp.num_faults, 1U);
  EXPECT_EQ(counts.vmm.panic_count, 1U);
}

}  // namespace
}  // namespace mote::vmm

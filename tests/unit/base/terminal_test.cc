#include "base/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace mote {
namespace {

termios settings_of(int fd) {
  termios settings{};
  EXPECT_EQ(::tcgetattr(fd, &settings), 0);
  return settings;
}

TEST(RawTerminal, IsNothingForWhatIsNoTerminal) {
  const UniqueFd file = *open_file("/dev/null", O_RDWR);
  const auto raw = RawTerminal::enter(file.get());
  ASSERT_TRUE(raw);
  EXPECT_FALSE(*raw);
}

TEST(RawTerminal, PutsTheTerminalBackAsItWas) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
    GTEST_SKIP() << "this host has no pseudo-terminals";
  }
  const UniqueFd terminal = *open_file(::ptsname(master.get()), O_RDWR | O_NOCTTY);
  const termios before = settings_of(terminal.get());
  {
    auto raw = RawTerminal::enter(terminal.get());
    ASSERT_TRUE(raw && *raw);
    EXPECT_EQ(settings_of(terminal.get()).c_lflag & (ICANON | ECHO | ISIG), 0U);
    // Moved, it is put back once, by the one that lives longest.
    const RawTerminal moved = std::move(**raw);
    raw->reset();
    EXPECT_EQ(settings_of(terminal.get()).c_lflag & ICANON, 0U);
  }
  const termios after = settings_of(terminal.get());
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
  EXPECT_EQ(after.c_oflag, before.c_oflag);
}

// A session of its own at `path`: what a job in front says, and one behind it, as two bits.
[[noreturn]] void look_as_two_jobs(const char* path) {
  ::setsid();
  const int terminal = ::open(path, O_RDWR);
  ::ioctl(terminal, TIOCSCTTY, 0);
  int status = has_another_job(terminal) ? 1 : 0;
  const pid_t behind = ::fork();
  if (behind == 0) {
    ::setpgid(0, 0);
    ::_exit(has_another_job(terminal) ? 2 : 0);
  }
  int other = 0;
  ::waitpid(behind, &other, 0);
  status |= WEXITSTATUS(other);
  ::_exit(status);
}

TEST(RawTerminal, IsKnownWhereAnotherJobHasIt) {
  const UniqueFd file = *open_file("/dev/null", O_RDWR);
  EXPECT_FALSE(has_another_job(file.get()));
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
    GTEST_SKIP() << "this host has no pseudo-terminals";
  }
  const std::string path = ::ptsname(master.get());
  const UniqueFd terminal = *open_file(path, O_RDWR | O_NOCTTY);
  EXPECT_FALSE(has_another_job(terminal.get())) << "it is not this session's";
  const pid_t session = ::fork();
  if (session == 0) look_as_two_jobs(path.c_str());
  int status = 0;
  ASSERT_EQ(::waitpid(session, &status, 0), session);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2) << "the one behind alone";
}

}  // namespace
}  // namespace mote

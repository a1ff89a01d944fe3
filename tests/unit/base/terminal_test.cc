#include "base/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

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

}  // namespace
}  // namespace mote

#include "machine/console_input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"

namespace mote::machine {
namespace {

// A serial port of so many bytes.
struct FakePort {
  std::size_t room = 0;
  std::string taken;
  bool ended = false;

  ConsoleInput::Hooks hooks() {
    return {.feed =
                [this](std::span<const std::byte> bytes) {
                  const std::size_t count = std::min(room, bytes.size());
                  taken.append(reinterpret_cast<const char*>(bytes.data()), count);
                  room -= count;
                  return count;
                },
            .at_end = [this] { ended = true; }};
  }
};

class ConsoleInputTest : public testing::Test {
 protected:
  ConsoleInputTest() : loop_(*EventLoop::create()) {
    int fds[2];
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
  }
  void say(std::string_view text) {
    ASSERT_TRUE(write_all(write_.get(), std::as_bytes(std::span(text))));
  }
  void turn() {
    while (*loop_->run_once(0)) {
    }
  }

  std::unique_ptr<EventLoop> loop_;
  UniqueFd read_;
  UniqueFd write_;
  FakePort port_;
};

TEST_F(ConsoleInputTest, FeedsWhatComesAndTellsTheEnd) {
  port_.room = 100;
  const auto input = ConsoleInput::start(*loop_, read_.get(), port_.hooks());
  say("hello");
  turn();
  EXPECT_EQ(port_.taken, "hello");
  EXPECT_FALSE(port_.ended);
  write_.reset();
  turn();
  EXPECT_TRUE(port_.ended);
}

TEST_F(ConsoleInputTest, AFullPortLosesNothingAndDoesNotSpin) {
  port_.room = 2;
  const auto input = ConsoleInput::start(*loop_, read_.get(), port_.hooks());
  say("hello");
  write_.reset();
  turn();
  EXPECT_EQ(port_.taken, "he");
  // The writer is gone, and still nothing is to be handled until the port has room.
  EXPECT_FALSE(*loop_->run_once(0));
  EXPECT_FALSE(port_.ended);
  port_.room = 1;
  input->room();
  turn();
  EXPECT_EQ(port_.taken, "hel");
  port_.room = 100;
  input->room();
  turn();
  EXPECT_EQ(port_.taken, "hello");
  EXPECT_TRUE(port_.ended);
}

TEST_F(ConsoleInputTest, ReadsAFileThatCannotBePolled) {
  char path[] = "/tmp/console-input-XXXXXX";
  const UniqueFd file(::mkstemp(path));
  ASSERT_TRUE(file);
  ::unlink(path);
  const std::string text(10000, 'x');
  ASSERT_TRUE(write_all(file.get(), std::as_bytes(std::span(text))));
  ::lseek(file.get(), 0, SEEK_SET);
  port_.room = 6000;
  const auto input = ConsoleInput::start(*loop_, file.get(), port_.hooks());
  EXPECT_EQ(port_.taken.size(), 6000);
  port_.room = 6000;
  input->room();
  EXPECT_EQ(port_.taken, text);
  EXPECT_TRUE(port_.ended);
}

TEST_F(ConsoleInputTest, DevNullIsAnEnd) {
  const auto null = open_file("/dev/null", O_RDONLY);
  const auto input = ConsoleInput::start(*loop_, null->get(), port_.hooks());
  EXPECT_TRUE(port_.ended);
}

TEST_F(ConsoleInputTest, AClosedDescriptorIsAnEnd) {
  const auto input = ConsoleInput::start(*loop_, -1, port_.hooks());
  EXPECT_TRUE(port_.ended);
}

}  // namespace
}  // namespace mote::machine

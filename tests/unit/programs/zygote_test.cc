// What a zygote makes of its starter's messages: monitors that share nothing but what they came
// from, and answers to those that ask for none.
#include "programs/mote_vmm/zygote.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/descriptor_passing.h"

namespace mote::vmm {
namespace {

using testing::HasSubstr;

std::uintptr_t canary() {
  std::uintptr_t value = 0;
#if defined(__x86_64__)
  __asm__ volatile("mov %%fs:0x28, %0" : "=r"(value));
#endif
  return value;
}

// A monitor that tells what it is, and waits on its input before it ends with the number of its
// words.
int tell(std::span<const char* const> words) {
  std::string text;
  for (const char* word : words) text += fmt::format("[{}]", word);
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  text += fmt::format(" leads={} blocked={} canary={:x}\n", ::getsid(0) == ::getpid(),
                      ::sigismember(&blocked, SIGTERM), canary());
  static_cast<void>(write_all(STDOUT_FILENO, std::as_bytes(std::span(text))));
  static_cast<void>(write_all(STDERR_FILENO, std::as_bytes(std::span("err", 3))));
  static_cast<void>(read_all(STDIN_FILENO, 100));
  // Without what a test program does at its end.
  ::_exit(static_cast<int>(words.size()));
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    from.reset(ends[0]);
    into.reset(ends[1]);
  }
  UniqueFd from, into;
};

struct Answer {
  int error = -1;
  pid_t pid = -1;
  UniqueFd monitor;
};

class ZygoteTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    mine_.reset(ends[0]);
    UniqueFd its(ends[1]);
    sigset_t terminate;
    ::sigemptyset(&terminate);
    ::sigaddset(&terminate, SIGTERM);
    zygote_ = ::fork();
    if (zygote_ == 0) {
      mine_.reset();
      // As a monitor has it from its start.
      ::sigprocmask(SIG_BLOCK, &terminate, nullptr);
      const auto served = serve_zygote(its.get(), tell);
      ::_exit(served ? 0 : 99);
    }
    ASSERT_GT(zygote_, 0);
  }
  void TearDown() override { end(); }

  // The zygote's exit status, once nobody asks it any more.
  int end() {
    mine_.reset();
    int status = 0;
    if (zygote_ > 0) EXPECT_GT(::waitpid(std::exchange(zygote_, -1), &status, 0), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  Answer ask(std::string_view message, std::span<const UniqueFd> streams) {
    const auto sent = send_some(mine_.get(), std::as_bytes(std::span(message)), streams);
    EXPECT_TRUE(sent) << sent.error().text();
    ZygoteAnswer said;
    auto received = receive_some(mine_.get(), std::as_writable_bytes(std::span(&said, 1)));
    EXPECT_TRUE(received && *received && (*received)->bytes == sizeof said);
    Answer answer{.error = said.error, .pid = said.pid, .monitor = {}};
    if (received && *received && !(*received)->descriptors.empty()) {
      answer.monitor = std::move((*received)->descriptors.front());
    }
    return answer;
  }
  // One with its streams.
  struct Monitor {
    Pipe input, output, errors;
    Answer answer;
    std::string said;
  };
  Monitor start(std::string_view message) {
    Monitor made;
    const std::array<UniqueFd, 3> streams{std::move(made.input.from), std::move(made.output.into),
                                          std::move(made.errors.into)};
    made.answer = ask(message, streams);
    return made;
  }
  // What it says; then it ends.
  static std::string finish(Monitor& monitor) {
    monitor.input.into.reset();
    const auto said = read_all(monitor.output.from.get(), 1000);
    const auto wrong = read_all(monitor.errors.from.get(), 1000);
    EXPECT_EQ(wrong ? *wrong : "", "err");
    pollfd end{.fd = monitor.answer.monitor.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&end, 1, 20'000), 1);
    return said ? *said : said.error().text();
  }

  UniqueFd mine_;
  pid_t zygote_ = -1;
};

std::string_view words(const char* text, std::size_t length) { return {text, length}; }

TEST_F(ZygoteTest, EachMonitorHasItsWordsAndStreams) {
  Monitor one = start(words("--a\0\0b c\0", 9));
  Monitor other = start(words("x\0", 2));
  ASSERT_EQ(one.answer.error, 0);
  ASSERT_EQ(other.answer.error, 0);
  const std::string first = finish(one);
  const std::string second = finish(other);
  EXPECT_THAT(first, HasSubstr("[--a][][b c] leads=true blocked=1"));
  EXPECT_THAT(second, HasSubstr("[x] leads=true blocked=1"));
  EXPECT_EQ(end(), 0);
}

TEST_F(ZygoteTest, NoMonitorHasAnothersCanary) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "of x86-64 alone";
#endif
  Monitor one = start(words("x\0", 2));
  Monitor other = start(words("x\0", 2));
  const auto of = [](const std::string& said) { return said.substr(said.find("canary=")); };
  const std::string first = of(finish(one));
  const std::string second = of(finish(other));
  EXPECT_NE(first, second);
  EXPECT_NE(first, fmt::format("canary={:x}\n", canary()));
}

TEST_F(ZygoteTest, WhatAsksForNothingIsRefusedAndTheNextIsServed) {
  const auto nothing = [] {
    std::array<UniqueFd, 3> streams;
    for (UniqueFd& fd : streams) fd = std::move(*open_file("/dev/null", O_RDWR));
    return streams;
  };
  const auto three = nothing();
  const std::span<const UniqueFd> all(three);
  EXPECT_EQ(ask("no end", all).error, EINVAL);
  EXPECT_EQ(ask(words("x\0y", 3), all).error, EINVAL);
  EXPECT_EQ(ask(words("x\0", 2), {}).error, EINVAL);
  EXPECT_EQ(ask(words("x\0", 2), all.first(2)).error, EINVAL);
  std::vector<UniqueFd> many;
  for (int i = 0; i < 4; ++i) many.push_back(std::move(*open_file("/dev/null", O_RDWR)));
  EXPECT_EQ(ask(words("x\0", 2), many).error, EINVAL);
  const std::string large(kMostWords + 1, '\0');
  EXPECT_EQ(ask(large, all).error, E2BIG);
  EXPECT_FALSE(ask(large, all).monitor);
  Monitor next = start(words("x\0", 2));
  EXPECT_EQ(next.answer.error, 0);
  EXPECT_THAT(finish(next), HasSubstr("[x]"));
  EXPECT_EQ(end(), 0);
}

TEST_F(ZygoteTest, ItsMonitorsOutliveIt) {
  Monitor monitor = start(words("x\0", 2));
  ASSERT_EQ(monitor.answer.error, 0);
  EXPECT_EQ(end(), 0);
  pollfd ended{.fd = monitor.answer.monitor.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ended, 1, 0), 0);
  EXPECT_THAT(finish(monitor), HasSubstr("[x]"));
}

TEST_F(ZygoteTest, ItEndsBySignalsThatMonitorsTakeThemselves) {
  Monitor monitor = start(words("x\0", 2));
  ASSERT_EQ(::kill(zygote_, SIGTERM), 0);
  EXPECT_EQ(end(), -SIGTERM);
  EXPECT_THAT(finish(monitor), HasSubstr("[x]"));
}

TEST(Zygote, ASocketThatIsNoneIsAnError) {
  const auto file = open_file("/dev/null", O_RDWR);
  ASSERT_TRUE(file);
  EXPECT_FALSE(serve_zygote(file->get(), tell));
}

}  // namespace
}  // namespace mote::vmm

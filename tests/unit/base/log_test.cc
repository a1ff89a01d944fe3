#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace mote::log {
namespace {

using testing::MatchesRegex;

constexpr const char* kTime = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9} ";

class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    out_ = UniqueFd(ends[0]);
    set_sink(UniqueFd(ends[1]));
  }
  ~LogTest() override {
    set_sink(UniqueFd());
    configure({});
  }
  std::string lines() {
    std::array<std::byte, 65536> buffer{};
    const auto count = *read_some(out_.get(), buffer);
    return {reinterpret_cast<const char*>(buffer.data()), count.value_or(0)};
  }
  UniqueFd out_;
};

TEST_F(LogTest, WritesFirecrackersShapeOfLine) {
  configure({.id = "my-vm"});
  info("one {} and {}", 1, "two");
  EXPECT_THAT(lines(), MatchesRegex(fmt::format("{}\\[my-vm:[^]:]+\\] one 1 and two\n", kTime)));
}

TEST_F(LogTest, ShowsLevelAndOriginWhenAsked) {
  configure({.show_level = true});
  warning("w");
  EXPECT_THAT(lines(), MatchesRegex(".*\\[anonymous-instance:[^]:]+:WARN\\] w\n"));
  configure({.show_level = true, .show_origin = true});
  error("e");
  EXPECT_THAT(lines(), MatchesRegex(".*:ERROR:.*log_test\\.cc:[0-9]+\\] e\n"));
  configure({.show_origin = true});
  error("e");
  EXPECT_THAT(lines(),
              MatchesRegex(".*\\[anonymous-instance:[^]:]+:[^:]*log_test\\.cc:[0-9]+\\] e\n"));
}

TEST_F(LogTest, LeavesOutWhatIsBelowTheLevel) {
  configure({.level = Level::kWarning});
  info("i");
  debug("d");
  EXPECT_EQ(lines(), "");
  EXPECT_TRUE(enabled(Level::kError));
  EXPECT_FALSE(enabled(Level::kInfo));
  configure({.level = Level::kOff});
  error("e");
  EXPECT_EQ(lines(), "");
}

TEST_F(LogTest, NamesTheThread) {
  configure({});
  std::thread([] {
    name_thread("fc_vcpu 0");
    info("x");
    name_thread("a name that is far too long");
    info("y");
  }).join();
  EXPECT_THAT(lines(), MatchesRegex(".*:fc_vcpu 0\\] x\n.*:a name that is \\] y\n"));
}

TEST_F(LogTest, KeepsLinesOfThreadsApart) {
  configure({});
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int line = 0; line < 50; ++line) info("the same line");
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = lines();
  EXPECT_EQ(std::ranges::count(text, '\n'), 200);
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find("] the same line\n", at)) != text.npos; ++at) ++found;
  EXPECT_EQ(found, 200U);
}

TEST_F(LogTest, LosesLinesRatherThanWait) {
  configure({});
  const std::string text(4000, 'x');
  for (int i = 0; i < 100; ++i) info("{}", text);
  EXPECT_FALSE(lines().empty());
}

TEST(LogLevel, HasNamesInAnyCase) {
  EXPECT_EQ(level_from_name("Off"), Level::kOff);
  EXPECT_EQ(level_from_name("eRROR"), Level::kError);
  EXPECT_EQ(level_from_name("warn"), Level::kWarning);
  EXPECT_EQ(level_from_name("WARNING"), Level::kWarning);
  EXPECT_EQ(level_from_name("trace"), Level::kTrace);
  for (const char* name : {"", "warnings", "war", "none", "Info ", "5"}) {
    EXPECT_EQ(level_from_name(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace mote::log

#include "base/log.h"
#include "base/log_subject.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <functional>
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
    use_clock(nullptr);
  }
  // Each moment in which a line is written is far from the one before.
  static std::chrono::nanoseconds leap() {
    static std::chrono::nanoseconds now{};
    return now += std::chrono::hours(1);
  }
  static std::chrono::nanoseconds stopped() { return stopped_; }
  static inline std::chrono::nanoseconds stopped_{};
  std::string lines() {
    std::array<std::byte, 65536> buffer{};
    const auto count = *read_some(out_.get(), buffer);
    return {reinterpret_cast<const char*>(buffer.data()), count.value_or(0)};
  }
  UniqueFd out_;
};

TEST_F(LogTest, AFailingDiskIsNotHiddenBehindOthers) {
  use_clock(stopped);
  const auto here = std::source_location::current();
  for (const char* name : {"drive 'a'", "drive 'b'", "drive 'c'"}) {
    const std::size_t subject = std::hash<std::string_view>()(name);
    for (int i = 0; i < 12; ++i) {
      write_of(subject, Level::kError, fmt::format("{} fails: {}", name, i), here);
    }
  }
  const std::string all = lines();
  for (const char* name : {"drive 'a'", "drive 'b'", "drive 'c'"}) {
    EXPECT_THAT(all, testing::HasSubstr(fmt::format("{} fails: 0\n", name)));
    EXPECT_THAT(all, testing::HasSubstr(fmt::format("{} fails: 9\n", name)));
    EXPECT_THAT(all, testing::Not(testing::HasSubstr(fmt::format("{} fails: 10\n", name))));
  }
}

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
  use_clock(leap);
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

TEST_F(LogTest, LosesLinesRatherThanWaitAndCountsThem) {
  configure({});
  use_clock(leap);
  const std::uint64_t before = metrics().missed_log_count;
  const std::string text(4000, 'x');
  for (int i = 0; i < 100; ++i) info("{}", text);
  const std::string first = lines();
  // What was taken was taken whole.
  EXPECT_EQ(first.size() % (first.find('\n') + 1), 0U);
  const auto taken = static_cast<std::uint64_t>(std::ranges::count(first, '\n'));
  EXPECT_GT(taken, 0U);
  EXPECT_EQ(metrics().missed_log_count - before, 100 - taken);
  // The reader is back.
  info("after");
  EXPECT_THAT(lines(), testing::EndsWith("] after\n"));
}

TEST_F(LogTest, DoesNotWaitForAPipeThatOthersGaveIt) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);  // writes to it wait
  const UniqueFd out(ends[0]);
  set_sink(UniqueFd(ends[1]));
  use_clock(leap);
  const std::uint64_t before = metrics().missed_log_count;
  for (int i = 0; i < 2000; ++i) info("a line of some length that fills what a pipe can hold");
  EXPECT_GT(metrics().missed_log_count, before);
}

TEST_F(LogTest, CountsEachLineOfAFileThatTakesNoMore) {
  set_sink(*open_file("/dev/full", O_WRONLY));
  const std::uint64_t before = metrics().missed_log_count;
  info("one");
  info("two");
  EXPECT_EQ(metrics().missed_log_count - before, 2U);
}

TEST_F(LogTest, KeepsALineOneLineAndShort) {
  configure({});
  info("a\nb\x1b[31m\x7f \xc3\xa9");
  EXPECT_THAT(lines(), testing::EndsWith("] a\\x0ab\\x1b[31m\\x7f \xc3\xa9\n"));
  info("{}", std::string(10000, '\n'));
  const std::string cut = lines();
  EXPECT_EQ(cut.size(), kMaxLine);
  EXPECT_EQ(cut.find('\n'), kMaxLine - 1);
}

TEST_F(LogTest, LeavesOutWhatOnePlaceSaysTooOften) {
  configure({.show_level = true});
  use_clock(stopped);
  const std::uint64_t before = metrics().rate_limited_log_count;
  const auto many = [](int count) {
    for (int i = 0; i < count; ++i) warning("again {}", i);
  };
  many(14);
  info("elsewhere");
  const std::string first = lines();
  EXPECT_EQ(std::ranges::count(first, '\n'), 11);
  EXPECT_THAT(first, testing::HasSubstr("] again 9\n"));
  EXPECT_THAT(first, testing::Not(testing::HasSubstr("again 10")));
  EXPECT_THAT(first, testing::EndsWith("] elsewhere\n"));
  EXPECT_EQ(metrics().rate_limited_log_count - before, 4U);
  stopped_ += std::chrono::seconds(5);
  many(2);
  EXPECT_THAT(lines(), MatchesRegex(".*:WARN\\] 4 lines from this place were left out[^\n]*\n"
                                    ".*\\] again 0\n.*\\] again 1\n"));
  EXPECT_EQ(metrics().rate_limited_log_count - before, 4U);
}

TEST_F(LogTest, WhatTheSettingsLeaveOutCountsForNoLimit) {
  configure({.level = Level::kError, .module = "elsewhere"});
  use_clock(stopped);
  const std::uint64_t before = metrics().rate_limited_log_count;
  for (int i = 0; i < 100; ++i) error("e");
  EXPECT_EQ(lines(), "");
  EXPECT_EQ(metrics().rate_limited_log_count, before);
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

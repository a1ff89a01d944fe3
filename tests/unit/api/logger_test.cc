#include "api/firecracker/logger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_dir.h"

namespace mote::api::firecracker {
namespace {

using testing::HasSubstr;

class Logger : public testing::Test {
 protected:
  ~Logger() override {
    log::set_sink(UniqueFd());
    log::configure({});
  }
  test::TempDir dir_;
  log::Settings settings_;
};

TEST_F(Logger, AppendsToAFileAndKeepsWhatIsThere) {
  const std::string path = dir_.write("log", "before\n");
  LoggerConfig config;
  config.log_path = path;
  config.show_level = true;
  ASSERT_TRUE(apply(config, settings_));
  log::info("hello");
  EXPECT_THAT(dir_.read("log"),
              testing::MatchesRegex("before\n.* \\[anonymous-instance:[^:]+:INFO\\] hello\n"));
}

TEST_F(Logger, LeavesWhatIsAbsent) {
  settings_ = {.level = log::Level::kDebug, .show_level = true, .show_origin = true, .id = "x"};
  ASSERT_TRUE(apply({}, settings_));
  EXPECT_EQ(settings_.level, log::Level::kDebug);
  EXPECT_TRUE(settings_.show_level);
  EXPECT_TRUE(settings_.show_origin);
  LoggerConfig config;
  config.level = "eRRor";
  config.show_level = false;
  ASSERT_TRUE(apply(config, settings_));
  EXPECT_EQ(settings_.level, log::Level::kError);
  EXPECT_FALSE(settings_.show_level);
  EXPECT_TRUE(settings_.show_origin);
  EXPECT_EQ(settings_.id, "x");
  EXPECT_FALSE(log::enabled(log::Level::kWarning));
}

TEST_F(Logger, TakesLevelsInAnyCase) {
  for (const char* level : {"Off", "error", "WARN", "Warning", "info", "dEBUG", "Trace"}) {
    LoggerConfig config;
    config.level = level;
    EXPECT_TRUE(check(config)) << level;
  }
  for (const char* level : {"", "none", "Fatal", "false", "Error ", "5"}) {
    LoggerConfig config;
    config.level = level;
    EXPECT_FALSE(check(config)) << level;
  }
}

TEST_F(Logger, OpensAFifoThatNobodyReads) {
  const std::string path = dir_ / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  LoggerConfig config;
  config.log_path = path;
  EXPECT_TRUE(apply(config, settings_));
}

TEST_F(Logger, ChangesNothingAfterAnError) {
  LoggerConfig config;
  config.level = "Debug";
  for (const std::string& path :
       {dir_ / "none/log", dir_.path(), std::string(), std::string("a\0b", 3)}) {
    config.log_path = path;
    const Result<void> result = apply(config, settings_);
    ASSERT_FALSE(result) << path;
    EXPECT_THAT(result.error().text(), HasSubstr("log_path"));
    EXPECT_EQ(settings_.level, log::Level::kInfo);
  }
}

}  // namespace
}  // namespace mote::api::firecracker

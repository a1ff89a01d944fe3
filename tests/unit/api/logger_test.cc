#include "api/firecracker/logger.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "base/log.h"
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
};

TEST_F(Logger, AppendsToAFileAndKeepsWhatIsThere) {
  const std::string path = dir_.write("log", "before\n");
  LoggerConfig config;
  config.log_path = path;
  config.show_level = true;
  ASSERT_TRUE(apply(config));
  log::info("hello");
  EXPECT_THAT(dir_.read("log"),
              testing::MatchesRegex("before\n.* \\[anonymous-instance:[^:]+:INFO\\] hello\n"));
}

TEST_F(Logger, LeavesWhatIsAbsent) {
  log::configure({.level = log::Level::kDebug,
                  .show_level = true,
                  .show_origin = true,
                  .id = "x",
                  .module = "virtio"});
  ASSERT_TRUE(apply({}));
  EXPECT_EQ(log::settings().level, log::Level::kDebug);
  EXPECT_TRUE(log::settings().show_level);
  EXPECT_TRUE(log::settings().show_origin);
  LoggerConfig config;
  config.level = "eRRor";
  config.show_level = false;
  ASSERT_TRUE(apply(config));
  EXPECT_EQ(log::settings().level, log::Level::kError);
  EXPECT_FALSE(log::settings().show_level);
  EXPECT_TRUE(log::settings().show_origin);
  EXPECT_EQ(log::settings().id, "x");
  EXPECT_EQ(log::settings().module, "virtio");
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
  EXPECT_TRUE(apply(config));
}

TEST_F(Logger, ChangesNothingAfterAnError) {
  LoggerConfig config;
  config.level = "Debug";
  for (const std::string& path :
       {dir_ / "none/log", dir_.path(), std::string(), std::string("a\0b", 3)}) {
    config.log_path = path;
    const Result<void> result = apply(config);
    ASSERT_FALSE(result) << path;
    EXPECT_THAT(result.error().text(), HasSubstr("log_path"));
    EXPECT_EQ(log::settings().level, log::Level::kInfo);
  }
}

TEST_F(Logger, OpensItsFileAnew) {
  const std::string first = dir_ / "a";
  const std::string second = dir_ / "b";
  LoggerConfig config;
  for (const std::string& path : {first, second}) {
    config.log_path = path;
    ASSERT_TRUE(apply(config));
    log::info("to {}", path);
  }
  // The file of that name is another by now, as where somebody moves logs away.
  ASSERT_EQ(::rename(second.c_str(), (dir_ / "moved").c_str()), 0);
  log::info("to the moved one");
  ASSERT_TRUE(apply(config));
  log::info("to the new one");
  LoggerConfig level_only;
  level_only.level = "Info";
  ASSERT_TRUE(apply(level_only));
  log::info("there as well");
  EXPECT_THAT(dir_.read("a"), testing::MatchesRegex("[^\n]*to [^\n]*/a\n"));
  EXPECT_THAT(dir_.read("moved"), testing::MatchesRegex("[^\n]*/b\n[^\n]*to the moved one\n"));
  EXPECT_THAT(dir_.read("b"), testing::MatchesRegex("[^\n]*to the new one\n[^\n]*there as well\n"));
}

TEST_F(Logger, ChoosesLinesByModule) {
  LoggerConfig config;
  config.log_path = dir_ / "log";
  for (const auto& [module, expected] :
       {std::pair{"virtio", 0}, std::pair{"", 1}, std::pair{"x", 1}}) {
    config.module = module;
    ASSERT_TRUE(apply(config));
    log::write(log::Level::kInfo, "line", std::source_location::current());
    EXPECT_EQ(std::ranges::count(dir_.read("log"), '\n'), expected) << module;
  }
}

TEST_F(Logger, ChangesWhileOthersLog) {
  const std::string path = dir_ / "log";
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&stop] {
      while (!stop) log::info("a line");
    });
  }
  for (int i = 0; i < 200; ++i) {
    LoggerConfig config;
    config.log_path = path;
    config.level = i % 2 == 0 ? "Info" : "Trace";
    config.show_log_origin = i % 3 == 0;
    EXPECT_TRUE(apply(config));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace mote::api::firecracker

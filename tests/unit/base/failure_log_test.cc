#include "base/failure_log.h"

#include <gtest/gtest.h>

#include "log_lines.h"

namespace mote::log {
namespace {

constexpr std::string_view kMore = " (more of these are counted, not logged)\n";

Error at(const char* what, int offset) {
  return {ErrorKind::kIo, fmt::format("{} at {}: no", what, offset)};
}

TEST(FailureLog, SaysEachKindOnce) {
  const test::LogLines lines;
  FailureLog failures;
  for (int i = 0; i < 1000; ++i) failures.tell(Level::kError, "drive 'd0'", at("read", 512 * i));
  EXPECT_EQ(lines.count("\n"), 1);
  EXPECT_EQ(lines.count(fmt::format("] drive 'd0': read at 0: no{}", kMore)), 1);
  for (const char* place : {"0xff", "0x1025a0"}) {
    failures.tell(Level::kError, "drive 'd0'", fmt::format(": 22 bytes at {}, no memory", place));
  }
  EXPECT_EQ(lines.count("\n"), 2);
  failures.tell(Level::kError, "drive 'd0'", at("write", 7));
  EXPECT_EQ(lines.count("drive 'd0': write at 7: no"), 1) << "another kind";
  failures.tell(Level::kWarning, "drive 'd0'", " has a queue 3 that lies");
  EXPECT_EQ(lines.count(fmt::format("] drive 'd0' has a queue 3 that lies{}", kMore)), 1);
}

TEST(FailureLog, OfManyThingsAtOnePlaceNoneIsHidden) {
  const test::LogLines lines;
  std::array<FailureLog, 20> failures;
  for (int turn = 0; turn < 20; ++turn) {
    for (std::size_t i = 0; i < failures.size(); ++i) {
      const auto name = fmt::format("drive '{}'", i);
      failures[i].tell(Level::kError, name, at("read", turn));
    }
  }
  for (std::size_t i = 0; i < failures.size(); ++i) {
    EXPECT_EQ(lines.count(fmt::format("drive '{}': read", i)), 1) << i;
  }
}

TEST(FailureLog, HasAnEnd) {
  const test::LogLines lines;
  FailureLog failures;
  for (char c = 'a'; c <= 'z'; ++c) failures.tell(Level::kError, "d", std::string(1, c));
  EXPECT_EQ(lines.count("\n"), static_cast<int>(FailureLog::kMostKinds));
}

TEST(FailureLog, WhatTheLevelLeavesOutWasNotSaid) {
  const test::LogLines lines;
  FailureLog failures;
  configure({.level = Level::kOff});
  failures.tell(Level::kError, "d", ": fails");
  configure({});
  failures.tell(Level::kError, "d", ": fails");
  EXPECT_EQ(lines.count("d: fails"), 1);
}

}  // namespace
}  // namespace mote::log

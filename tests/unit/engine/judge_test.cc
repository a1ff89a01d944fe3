// What `mote run` ends with, from what its monitor left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "engine/monitor.h"
#include "engine/session.h"

namespace mote::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class JudgeTest : public testing::Test {
 protected:
  void print(TailBuffer& buffer, std::string_view text) {
    buffer.append(std::as_bytes(std::span(text)));
  }
  Outcome outcome() { return judge(ending, console, monitor); }
  static int exited(int status) { return status << 8; }

  Ending ending;
  TailBuffer console{4096};
  TailBuffer monitor{4096};
};

TEST_F(JudgeTest, CommandsStatusIsHandedOn) {
  for (const int status : {0, 1, 7, 128, 137, 255}) {
    ending = {
        .wait_status = exited(status),
        .report =
            fmt::format(R"({{"reason":"exit-port","status":{},"message":""}})", status) + "\n",
        .asked_by_signal = {}};
    print(console, "mote-init: something\n");
    EXPECT_EQ(outcome().status, status);
    EXPECT_THAT(outcome().messages, IsEmpty());
    EXPECT_FALSE(outcome().signal);
  }
}

TEST_F(JudgeTest, InitsOwnStatusesComeWithItsWords) {
  print(console, "[ 1.0] kernel\nmote-init: /nope: No such file or directory\n");
  for (const int status : {125, 126, 127}) {
    ending.report = fmt::format(R"({{"reason":"exit-port","status":{},"message":""}})", status);
    EXPECT_EQ(outcome().status, status);
    EXPECT_THAT(outcome().messages, ElementsAre("mote-init: /nope: No such file or directory"));
  }
}

TEST_F(JudgeTest, GuestThatEndsByItselfIsLostWithItsLastWords) {
  print(console, "Kernel panic - not syncing\n");
  for (const char* reason : {"reset", "shutdown", "triple-fault"}) {
    ending.report = fmt::format(R"({{"reason":"{}","status":0,"message":""}})", reason);
    EXPECT_EQ(outcome().status, kStatusLost);
    ASSERT_EQ(outcome().messages.size(), 3);
    EXPECT_THAT(outcome().messages[0], HasSubstr("ended before its command"));
    EXPECT_THAT(outcome().messages[2], HasSubstr("Kernel panic"));
  }
  ending.report = R"({"reason":"error","status":0,"message":"KVM gave up"})";
  EXPECT_THAT(outcome().messages[0], HasSubstr("KVM gave up"));
}

TEST_F(JudgeTest, MonitorThatRefusesIsQuoted) {
  ending.wait_status = exited(1);
  print(monitor, "noise\nmote-vmm: the kernel is no kernel\n");
  EXPECT_EQ(outcome().status, kStatusLost);
  EXPECT_THAT(outcome().messages, ElementsAre("mote: the kernel is no kernel"));
}

TEST_F(JudgeTest, MonitorThatVanishesIsToldOf) {
  ending.wait_status = SIGKILL;
  EXPECT_EQ(outcome().status, kStatusLost);
  EXPECT_THAT(outcome().messages, ElementsAre(HasSubstr("SIGKILL")));
  ending.wait_status = exited(3);
  EXPECT_THAT(outcome().messages, ElementsAre(HasSubstr("status 3")));
}

TEST_F(JudgeTest, SignalThatEndedItEndsUs) {
  ending = {.wait_status = SIGTERM,
            .report = R"({"reason":"signal","status":15,"message":"by SIGTERM"})",
            .asked_by_signal = SIGINT};
  EXPECT_EQ(outcome().signal, SIGINT);
  EXPECT_THAT(outcome().messages, IsEmpty());
  // The command's own end, when it was first.
  ending.report = R"({"reason":"exit-port","status":5,"message":""})";
  EXPECT_FALSE(outcome().signal);
  EXPECT_EQ(outcome().status, 5);
}

TEST_F(JudgeTest, OutputThatNobodyReadsIsABrokenPipe) {
  ending = {.wait_status = SIGPIPE,
            .report = R"({"reason":"signal","status":13,"message":""})",
            .asked_by_signal = {}};
  EXPECT_EQ(outcome().signal, SIGPIPE);
  EXPECT_THAT(outcome().messages, IsEmpty());
}

TEST_F(JudgeTest, ReportsThatAreNoneAreNotBelieved) {
  for (const char* report : {"", "{", "[]", R"({"reason":"exit-port"})",
                             R"({"reason":"exit-port","status":-1,"message":""})",
                             R"({"reason":"exit-port","status":"0","message":""})"}) {
    EXPECT_FALSE(parse_end_report(report)) << report;
    ending = {.wait_status = exited(0), .report = report, .asked_by_signal = {}};
    EXPECT_EQ(outcome().status, kStatusLost) << report;
  }
  ending.report = R"({"reason":"exit-port","status":256,"message":""})";
  EXPECT_EQ(outcome().status, kStatusLost);
}

}  // namespace
}  // namespace mote::engine

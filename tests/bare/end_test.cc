// Every way a machine ends: exit statuses, the report for --end-fd, signals, the terminal, what is
// left behind.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "bare_test.h"

namespace mote::bare {
namespace {

class EndTest : public BareTest {
 protected:
  // A guest that waits for input ends by `signal`, and leaves nothing but what it was given.
  Ending ending_by(int signal) const {
    VmmProcess process = start({.guest = "counter"});
    EXPECT_TRUE(process.wait_for_output("ready\n")) << process.errors();
    process.signal(signal);
    const auto ending = process.finish();
    EXPECT_TRUE(ending) << "signal " << signal << " did not end it";
    EXPECT_EQ(scratch_names(), (std::vector<std::string>{"config.json", "log"}));
    return ending.value_or(Ending{});
  }
};

TEST_F(EndTest, KeyboardControllersResetLine) {
  const Outcome outcome = run({.guest = "reset", .end_pipe = true});
  EXPECT_EQ(outcome.ending.text(), "exit 0");
  EXPECT_EQ(outcome.output, "resetting\n");
  EXPECT_NE(outcome.end_report.find(R"("reason":"reset")"), std::string::npos)
      << outcome.end_report;
}

TEST_F(EndTest, TripleFault) {
  const Outcome outcome = run({.guest = "triple_fault", .end_pipe = true});
  EXPECT_EQ(outcome.ending.text(), "exit 0");
  EXPECT_EQ(outcome.output, "falling\n");
  EXPECT_NE(outcome.end_report.find(R"("reason":"triple-fault")"), std::string::npos)
      << outcome.end_report;
}

TEST_F(EndTest, AcpiSleep) {
  const Outcome outcome = run({.guest = "shutdown", .end_pipe = true});
  EXPECT_EQ(outcome.ending.text(), "exit 0");
  EXPECT_EQ(outcome.output, "sleeping\n");
  EXPECT_NE(outcome.end_report.find(R"("reason":"shutdown")"), std::string::npos)
      << outcome.end_report;
}

TEST_F(EndTest, ExitPortHandsBackAStatus) {
  const Outcome outcome = run({.guest = "exit_port", .flags = {"--exit-port"}, .end_pipe = true});
  EXPECT_EQ(outcome.ending.text(), "exit 42") << outcome.errors;
  EXPECT_NE(outcome.end_report.find(R"("reason":"exit-port")"), std::string::npos)
      << outcome.end_report;
  EXPECT_NE(outcome.end_report.find(R"("status":42)"), std::string::npos) << outcome.end_report;
}

TEST_F(EndTest, ExitPortIsAbsentUnlessAskedFor) {
  EXPECT_EQ(run({.guest = "exit_port"}).ending.text(), "exit 0");
}

TEST_F(EndTest, InternalErrorOfKvmIsSaidAndCountsAsFailure) {
  const std::string metrics = path_of("metrics");
  const Outcome outcome =
      run({.guest = "fetch_mmio", .flags = {"--metrics-path", metrics}, .end_pipe = true});
  EXPECT_EQ(outcome.ending.text(), "exit 1");
  EXPECT_EQ(outcome.output, "jumping\n");
  EXPECT_FALSE(outcome.errors.empty() && log().empty()) << "no word about why";
  EXPECT_NE(outcome.end_report.find(R"("reason":"error")"), std::string::npos)
      << outcome.end_report;
  const auto lines = open_file(metrics, O_RDONLY);
  ASSERT_TRUE(lines);
  EXPECT_NE(read_all(lines->get(), std::size_t{1} << 20)->find(R"("failures":1)"),
            std::string::npos);
}

TEST_F(EndTest, EndReportIsOneLine) {
  const Outcome outcome = run({.guest = "reset", .end_pipe = true});
  EXPECT_EQ(std::ranges::count(outcome.end_report, '\n'), 1) << outcome.end_report;
  EXPECT_TRUE(outcome.end_report.starts_with('{')) << outcome.end_report;
  EXPECT_TRUE(outcome.end_report.ends_with("}\n")) << outcome.end_report;
}

TEST_F(EndTest, EveryVcpuEndsWithTheMachine) {
  EXPECT_EQ(run({.guest = "reset", .vcpus = 8}).ending.text(), "exit 0");
}

TEST_F(EndTest, TerminationSignalsEndItByThemselves) {
  EXPECT_EQ(ending_by(SIGTERM).text(), "signal 15");
  EXPECT_EQ(ending_by(SIGINT).text(), "signal 2");
}

TEST_F(EndTest, HangUpHasAStatusOfItsOwn) { EXPECT_EQ(ending_by(SIGHUP).text(), "exit 156"); }

TEST_F(EndTest, SignalEndsAHaltedGuestWithManyVcpus) {
  VmmProcess process = start({.guest = "idle", .vcpus = 8});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // it has nothing to say
  process.signal(SIGTERM);
  const auto ending = process.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "signal 15");
}

TEST_F(EndTest, EndOfInputNeitherEndsNorSpins) {
  VmmProcess process = start({.guest = "idle"});
  process.close_input();
  std::this_thread::sleep_for(std::chrono::seconds(2));
  process.signal(SIGTERM);
  const auto ending = process.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "signal 15") << process.errors();
  EXPECT_LT(ending->cpu_seconds, 1) << "of two idle seconds";
}

TEST_F(EndTest, TerminalIsPutBack) {
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master);
  ASSERT_EQ(::grantpt(master.get()), 0);
  ASSERT_EQ(::unlockpt(master.get()), 0);
  UniqueFd terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  termios before{};
  ASSERT_EQ(::tcgetattr(terminal.get(), &before), 0);

  VmmProcess process = start({.guest = "echo", .terminal = terminal.get()});
  std::string seen;
  std::array<std::byte, 256> buffer;
  while (!seen.contains("ready")) {
    const auto got = read_some(master.get(), buffer);
    ASSERT_TRUE(got && *got && **got > 0) << seen;
    seen.append(reinterpret_cast<const char*>(buffer.data()), **got);
  }
  termios during{};
  ASSERT_EQ(::tcgetattr(terminal.get(), &during), 0);
  EXPECT_EQ(during.c_lflag & (ICANON | ECHO), 0) << "a guest's terminal is raw";
  process.signal(SIGTERM);
  const auto ending = process.finish();
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->text(), "signal 15");

  termios after{};
  ASSERT_EQ(::tcgetattr(terminal.get(), &after), 0);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
  EXPECT_EQ(after.c_oflag, before.c_oflag);
  EXPECT_EQ(std::memcmp(after.c_cc, before.c_cc, sizeof after.c_cc), 0);
}

}  // namespace
}  // namespace mote::bare

// What Firecracker's clients look for in the log of a program that was started under the name
// `firecracker`, and what its requests look like there.

#include <signal.h>

#include <gmock/gmock.h>

#include "served_test.h"

namespace mote::bare {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kName = "/opt/somewhere/firecracker";

class ClientLinesTest : public ServedTest {};

TEST_F(ClientLinesTest, AnEndInOrder) {
  const Outcome outcome = run({.guest = "reset", .name = kName});
  EXPECT_EQ(outcome.ending.text(), "exit 0");
  // Before the configuration leads the log elsewhere.
  EXPECT_THAT(outcome.output, HasSubstr("Running Firecracker v1."));
  EXPECT_THAT(log(),
              HasSubstr("Successfully started microvm that was configured from one single json\n"));
  EXPECT_THAT(log(), HasSubstr("Vmm is stopping.\n"));
  EXPECT_THAT(log(), HasSubstr("Firecracker exiting successfully. exit_code=0\n"));
}

TEST_F(ClientLinesTest, UnderItsOwnNameTheProgramSaysNoneOfThem) {
  EXPECT_EQ(run({.guest = "reset"}).ending.text(), "exit 0");
  EXPECT_THAT(log(), HasSubstr("The microVM ended: reset"));
  EXPECT_THAT(log(), Not(HasSubstr("Firecracker")));
  EXPECT_THAT(log(), Not(HasSubstr("Vmm is stopping")));
}

// Clients remove it themselves.
TEST_F(ClientLinesTest, TheSocketOfTheVsockStays) {
  for (const char* name : {kName, "mote-vmm"}) {
    const std::string path = path_of("v.sock");
    const Outcome outcome =
        run({.guest = "reset",
             .sections = fmt::format(R"(, "vsock": {{"guest_cid": 3, "uds_path": "{}"}})", path),
             .name = name});
    EXPECT_EQ(outcome.ending.text(), "exit 0") << outcome.errors;
    EXPECT_EQ(std::filesystem::remove(path), name == kName) << name;
  }
}

TEST_F(ClientLinesTest, AConfigurationThatIsRefused) {
  const Outcome outcome = run({.guest = "reset", .sections = R"(, "vsock": 3)", .name = kName});
  EXPECT_EQ(outcome.ending.text(), "exit 1");
  EXPECT_THAT(outcome.output, HasSubstr("Configuration for VMM from one single json failed: "));
  EXPECT_THAT(outcome.output, Not(HasSubstr("exiting successfully")));
}

TEST_F(ClientLinesTest, Signals) {
  for (const int signal : {SIGHUP, SIGBUS}) {
    VmmProcess process = start({.guest = "counter", .name = kName});
    ASSERT_TRUE(process.wait_for_output("ready\n")) << process.errors();
    process.signal(signal);
    const auto ending = process.finish();
    ASSERT_TRUE(ending);
    // A sanitizer takes the second one itself.
    if (signal == SIGBUS && ending->text() != "exit 149") continue;
    EXPECT_THAT(log(), HasSubstr(fmt::format(
                           "Shutting down VM after intercepting signal {}, code 0.\n", signal)));
    EXPECT_THAT(log(), Not(HasSubstr("exiting successfully")));
  }
}

TEST_F(ClientLinesTest, RequestsAndTheirAnswers) {
  const Monitor monitor = start_monitor("served", {}, kName);
  EXPECT_THAT(monitor.answer("GET", "/").body, HasSubstr(R"("app_name":"Firecracker")"));
  EXPECT_EQ(monitor.put("/machine-config", R"({"vcpu_count":2,"mem_size_mib":64})"), 204);
  EXPECT_EQ(monitor.put("/mmds", R"({"key":"hidden"})"), 204);
  EXPECT_EQ(monitor.put("/nowhere", "{}"), 400);
  const std::string log = log_of(monitor);
  EXPECT_THAT(log, HasSubstr("The API server received a Get request on \"/\".\n"));
  EXPECT_THAT(
      log,
      HasSubstr(
          R"(The API server received a Put request on "/machine-config" with body "{\"vcpu_count\":2,\"mem_size_mib\":64}".)"));
  EXPECT_THAT(log,
              HasSubstr("The request was executed successfully. Status code: 204 No Content.\n"));
  EXPECT_THAT(log, HasSubstr("The API server received a Put request on \"/mmds\".\n"));
  EXPECT_THAT(log, Not(HasSubstr("hidden")));
  EXPECT_THAT(log, HasSubstr("Received Error. Status code: 400 Bad Request. Message: "));
}

TEST_F(ClientLinesTest, UnderItsOwnNameTheProgramIsItself) {
  const Monitor monitor = start_monitor("served");
  EXPECT_THAT(monitor.answer("GET", "/").body, HasSubstr(R"("app_name":"mote-vmm")"));
}

}  // namespace
}  // namespace mote::bare

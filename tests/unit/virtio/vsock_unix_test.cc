// vsock over real Unix sockets: Firecracker's handshake, clients that do not keep to it, and the
// socket itself.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>

#include "virtio/vsock_program.h"

namespace mote::virtio::test {
namespace {

using vsock::Ports;
using vsock::UnixBackend;
using namespace std::chrono_literals;

TEST_F(VsockUnixTest, TheHandshakeOfAHostProgram) {
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONNECT 52\n");
  turn();
  EXPECT_EQ(client.hear(), "") << "no OK before the guest's";
  const Ports ports = expect_request(52);
  EXPECT_EQ(client.hear(), fmt::format("OK {}\n", ports.host));
  client.say("ping");
  turn();
  EXPECT_EQ(guest_hears(), "ping");
  guest_says(ports, "pong");
  EXPECT_EQ(client.hear(), "pong");
}

TEST_F(VsockUnixTest, TheLineMayComeInPiecesAndTheDataWithIt) {
  Program slow;
  ASSERT_TRUE(slow.connect(path_));
  for (const char c : std::string("CONNECT 4294967295")) {
    slow.say({&c, 1});
    turn(2);
  }
  slow.say("\nand at once what follows\n");
  expect_request(4294967295);
  turn();
  EXPECT_EQ(guest_hears(), "and at once what follows\n");
}

TEST_F(VsockUnixTest, Lines) {
  using vsock::parse_connect;
  EXPECT_EQ(parse_connect("CONNECT 52"), 52U);
  EXPECT_EQ(parse_connect("connect 0"), 0U);
  EXPECT_EQ(parse_connect("  CoNNecT\t 7 \r"), 7U);
  for (const char* bad :
       {"", " ", "CONNECT", "CONNECT ", "CONNECT x", "CONNECT -1", "CONNECT +1", "CONNECT 1x",
        "CONNECT 4294967296", "CONNECT 99999999999999999999", "CONNECT 1 2", "CONNECT0 1",
        "CONNEC 1", "XCONNECT 1", "CONNECT\0 1", "OK 1", "CONNECT 0x10", "#onnect 1"}) {
    EXPECT_FALSE(parse_connect(bad)) << bad;
  }
}

TEST_F(VsockUnixTest, ClientsThatSaySomethingElseAreClosed) {
  for (const char* line : {"\n", "CONNECT\n", "GET / HTTP/1.1\r\n\r\n", "CONNECT 1 2\n",
                           "CONNECT 0000000000000000000000000000000000001\n",
                           "an endless line without its end, longer than any port"}) {
    Program client;
    ASSERT_TRUE(client.connect(path_));
    client.say(line);
    turn();
    EXPECT_TRUE(client.hung_up()) << line;
    EXPECT_TRUE(driver_->take().empty()) << line;
  }
  Program silent;
  ASSERT_TRUE(silent.connect(path_));
  silent.shut(SHUT_WR);
  turn();
  EXPECT_EQ(silent.hear(), "<end>");
  EXPECT_EQ(device_->metrics().muxer_event_fails, 7U);
}

TEST_F(VsockUnixTest, ClientsThatKeepSilentAreClosedInTime) {
  build({.patience = 30ms});
  Program silent;
  Program half;
  const auto began = vsock::Clock::now();
  ASSERT_TRUE(silent.connect(path_));
  ASSERT_TRUE(half.connect(path_));
  half.say("CONNECT 5");
  wait(15ms);
  const std::string early = silent.hear();
  if (vsock::Clock::now() - began < 30ms) {  // a busy host may be later than that
    EXPECT_EQ(early, "");
  }
  wait(40ms);
  EXPECT_EQ(silent.hear(), "<end>");
  EXPECT_EQ(half.hear(), "<end>");
  EXPECT_TRUE(driver_->take().empty());
}

TEST_F(VsockUnixTest, SilentClientsGiveWayToThoseThatTalk) {
  build({.half_open = 4, .patience = 2s});
  std::vector<Program> silent(10);
  for (Program& one : silent) {
    ASSERT_TRUE(one.connect(path_));
    turn(2);
  }
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONNECT 5\n");
  expect_request(5);
  EXPECT_EQ(client.hear().substr(0, 3), "OK ");
  for (std::size_t i = 0; i < silent.size(); ++i) {
    EXPECT_EQ(silent[i].hear(), i < 6 ? "<end>" : "") << i;
  }
}

TEST_F(VsockUnixTest, WithoutADriverClientsWait) {
  driver_->pause();
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONNECT 52\n");
  turn();
  EXPECT_EQ(client.hear(), "");
  driver_->resume();
  expect_request(52);
  EXPECT_EQ(client.hear().substr(0, 3), "OK ");
}

TEST_F(VsockUnixTest, AClientThatThePauseMetHalfOpenGoesOn) {
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONN");
  turn();
  driver_->pause();
  client.say("ECT 52\n");
  turn();
  driver_->resume();
  expect_request(52);
  EXPECT_EQ(client.hear().substr(0, 3), "OK ");
}

TEST_F(VsockUnixTest, WithoutDescriptorsClientsWaitAndTheLoopSleeps) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  // UBSan opens a pipe when it meets a type for the first time, so it meets those of the loop here.
  Program before;
  ASSERT_TRUE(before.connect(path_));
  wait(20ms);
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONNECT 52\n");
  const rlimit none{.rlim_cur = 3, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  int turns = 0;
  const auto end = vsock::Clock::now() + 30ms;
  while (vsock::Clock::now() < end) turns += *loop_->run_once(5) ? 1 : 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_LT(turns, 5);
  EXPECT_GE(device_->metrics().muxer_event_fails, 1U);
  wait(1s);
  expect_request(52);
  EXPECT_EQ(client.hear().substr(0, 3), "OK ");
}

TEST_F(VsockUnixTest, TheSocketsName) {
  struct stat status{};
  ASSERT_EQ(::lstat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  const auto second = UnixBackend::create(path_, *loop_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kInvalid);
  EXPECT_NE(second.error().text().find(path_), std::string::npos);
  driver_.reset();
  device_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_)) << "it goes with the device";
  for (const std::string& bad :
       {directory_ / "missing/v.sock", directory_.path(), std::string("/proc/v.sock")}) {
    EXPECT_FALSE(UnixBackend::create(bad, *loop_)) << bad;
  }
  build();
  std::filesystem::rename(path_, directory_ / "moved");
  directory_.write("v.sock", "another's");
  driver_.reset();
  device_.reset();
  EXPECT_EQ(directory_.read("v.sock"), "another's") << "what is not its own stays";
  std::filesystem::remove(path_);
}

TEST(VsockConfigTest, Values) {
  const auto refused = [](const VsockConfig& config) {
    const auto result = check(config);
    return !result && result.error().text().find("uds_path") != std::string::npos;
  };
  EXPECT_TRUE(check({.guest_cid = 3, .uds_path = "v.sock"}));
  EXPECT_TRUE(check({.guest_cid = 3, .uds_path = std::string(107, 'a'), .vsock_id = "old"}));
  EXPECT_TRUE(refused({.guest_cid = 3, .uds_path = std::string(108, 'a')}));
  EXPECT_TRUE(refused({.guest_cid = 3, .uds_path = ""}));
  EXPECT_TRUE(refused({.guest_cid = 3, .uds_path = std::string("a\0b", 3)}));
}

}  // namespace
}  // namespace mote::virtio::test

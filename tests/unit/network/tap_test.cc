// Taps of this host, where it lets the test make some.
#include "network/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "network/tap_abi.h"

namespace mote::network::test {
namespace {

constexpr std::uint16_t kType = 0x88b5;  // of frames, for experiments

// A frame of `size` bytes behind a header of zeroes.
std::string frame_of(std::size_t size) {
  std::string frame(kHeaderSize, '\0');
  frame += std::string(6, '\xff') + std::string("\x06\0\0\0\0\x01", 6) + "\x88\xb5";
  while (frame.size() < kHeaderSize + size) frame.push_back(static_cast<char>(frame.size()));
  return frame;
}

ifreq request_for(const std::string& name, int flags = 0) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<short>(flags);  // NOLINT(google-runtime-int): the field's
  return request;
}

// The index of an interface; 0: there is none.
int index_of(const std::string& name) {
  const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(name);
  return ::ioctl(control.get(), SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

void set_up(const std::string& name, bool up) {
  const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = request_for(name);
  ASSERT_EQ(::ioctl(control.get(), SIOCGIFFLAGS, &request), 0);
  const int flags = up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP;
  request = request_for(name, flags);
  ASSERT_EQ(::ioctl(control.get(), SIOCSIFFLAGS, &request), 0);
}

// A queue of a new tap, as another program opens one; its name.
std::string open_queue(UniqueFd& fd, int flags) {
  fd.reset(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request = request_for("mtst%d", flags);
  EXPECT_EQ(::ioctl(fd.get(), TUNSETIFF, &request), 0);
  return request.ifr_name;
}

class TapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tap = Tap::open("mtst%d", 1);
    if (!tap && (tap.error().kind() == ErrorKind::kPermission ||
                 tap.error().kind() == ErrorKind::kNotFound)) {
      GTEST_SKIP() << tap.error().text();
    }
    ASSERT_TRUE(tap) << tap.error().text();
    tap_ = std::move(*tap);
    loop_ = std::move(*EventLoop::create());
  }
  // A socket that sees and makes whole frames of the interface.
  static UniqueFd host_side(const std::string& name) {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(kType);
    address.sll_ifindex = index_of(name);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // The next frame of our type; others, which the host makes of itself, are passed over.
  static std::string receive(Tap& tap) {
    std::string into(kMaxFrameSize, '\0');
    for (int tries = 0; tries < 5000; ++tries) {
      const iovec part{into.data(), into.size()};
      auto length = tap.receive(0, std::span(&part, 1));
      if (!length) return length.error().text();
      if (!*length) {
        ::usleep(1000);
        continue;
      }
      if (into.compare(kHeaderSize + 12, 2, "\x88\xb5") == 0) return into.substr(0, **length);
    }
    return {};
  }
  static Result<bool> send(Tap& tap, std::string frame) {
    const iovec part{frame.data(), frame.size()};
    return tap.send(0, std::span(&part, 1));
  }
  // Handles events until none has come for a while.
  void settle() {
    while (*loop_->run_once(50)) {
    }
  }

  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Tap> tap_;
};

TEST_F(TapTest, TheHostChoosesAName) {
  const std::string name = tap_->interface_name();
  EXPECT_EQ(name.rfind("mtst", 0), 0U);
  const auto index = index_of(name);
  EXPECT_NE(index, 0);
  tap_.reset();
  // Another test may have been given the same name by now, but never the same number.
  EXPECT_NE(index_of(name), index) << "what was made goes with its Tap";
}

TEST_F(TapTest, FramesGoBothWays) {
  set_up(tap_->interface_name(), true);
  const UniqueFd host = host_side(tap_->interface_name());
  for (const std::size_t size : {60U, 1000U, 1514U}) {
    const std::string frame = frame_of(size);
    const auto sent = send(*tap_, frame);
    ASSERT_TRUE(sent) << sent.error().text();
    EXPECT_TRUE(*sent);
    std::string seen(3000, '\0');
    ASSERT_EQ(::recv(host.get(), seen.data(), seen.size(), 0), static_cast<ssize_t>(size));
    EXPECT_EQ(seen.substr(0, size), frame.substr(kHeaderSize));

    ASSERT_EQ(::send(host.get(), frame.data() + kHeaderSize, size, 0), static_cast<ssize_t>(size));
    std::string received = receive(*tap_);
    ASSERT_EQ(received.size(), frame.size());
    received.replace(10, 2, 2, '\0');  // is the caller's
    EXPECT_EQ(received, frame);
  }
}

TEST_F(TapTest, SaysOnceThatThereIsSomething) {
  set_up(tap_->interface_name(), true);
  int told = 0;
  ASSERT_TRUE(tap_->watch(*loop_, [&](unsigned lane, Link::Readiness readiness) {
    EXPECT_EQ(lane, 0U);
    if (readiness.receive) ++told;
  }));
  settle();
  told = 0;
  const UniqueFd host = host_side(tap_->interface_name());
  const std::string frame = frame_of(60);
  ASSERT_GT(::send(host.get(), frame.data() + kHeaderSize, 60, 0), 0);
  while (told == 0) ASSERT_TRUE(*loop_->run_once(10'000));
  settle();
  EXPECT_LE(told, 4) << "it says the same thing over and over";
}

TEST_F(TapTest, OffersWhatTheKernelHas) {
  EXPECT_TRUE(tap_->offered().checksum);
  EXPECT_TRUE(tap_->offered().tso4);
  EXPECT_TRUE(tap_->set_offloads(tap_->offered()));
  EXPECT_TRUE(tap_->set_offloads({.checksum = true}));
  EXPECT_TRUE(tap_->set_offloads({}));
}

TEST_F(TapTest, AFrameThatIsNoneIsRefused) {
  set_up(tap_->interface_name(), true);
  EXPECT_EQ(send(*tap_, frame_of(14).substr(0, 20)).error().kind(), ErrorKind::kInvalid);
  std::string nonsense = frame_of(60);
  nonsense[1] = 99;  // gso_type
  EXPECT_EQ(send(*tap_, nonsense).error().kind(), ErrorKind::kInvalid);
}

TEST_F(TapTest, AnInterfaceThatIsDownFailsAndComesBack) {
  const auto refused = send(*tap_, frame_of(60));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kIo) << refused.error().text();
  set_up(tap_->interface_name(), true);
  EXPECT_TRUE(send(*tap_, frame_of(60)));
}

TEST_F(TapTest, IsOpenedOnce) {
  const auto again = Tap::open(tap_->interface_name(), 1);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kState);
  EXPECT_NE(again.error().text().find("in use"), std::string::npos);
}

TEST_F(TapTest, SaysWhatCannotBeOpened) {
  const auto error = [](const std::string& name, unsigned lanes = 1) {
    const auto tap = Tap::open(name, lanes);
    return tap ? ErrorKind::kInternal : tap.error().kind();
  };
  EXPECT_EQ(error("lo"), ErrorKind::kInvalid);
  EXPECT_EQ(error("a/b"), ErrorKind::kInvalid);
  EXPECT_EQ(error("sixteen_letters_"), ErrorKind::kInvalid);
  // One queue is no several, and the other way round.
  EXPECT_EQ(error(tap_->interface_name(), 2), ErrorKind::kInvalid);
  const auto several = Tap::open("mtst%d", 2);
  ASSERT_TRUE(several);
  EXPECT_EQ(error((*several)->interface_name()), ErrorKind::kInvalid);
}

// Without the right to make interfaces, as most monitors are; it is this thread's alone that goes.
TEST_F(TapTest, WhatIsForbiddenIsSaidWithTheWayOut) {
  const UniqueFd others(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request = request_for("mtst%d", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  ASSERT_EQ(::ioctl(others.get(), TUNSETIFF, &request), 0);
  ASSERT_EQ(::ioctl(others.get(), TUNSETOWNER, 65534), 0);
  const std::string name = request.ifr_name;
  std::thread([&] {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const std::array<__user_cap_data_struct, 2> none{};
    ASSERT_EQ(::syscall(SYS_capset, &header, none.data()), 0);
    for (const std::string& forbidden : {std::string("mtstforbidden"), name}) {
      const auto tap = Tap::open(forbidden, 1);
      ASSERT_FALSE(tap) << forbidden;
      EXPECT_EQ(tap.error().kind(), ErrorKind::kPermission) << tap.error().text();
      const std::string way_out = "ip tuntap add " + forbidden + " mode tap user $USER vnet_hdr";
      EXPECT_NE(tap.error().text().find(way_out), std::string::npos) << tap.error().text();
    }
  }).join();
  EXPECT_EQ(index_of("mtstforbidden"), 0);
}

TEST_F(TapTest, LanesComeAndGo) {
  const auto tap = Tap::open("mtst%d", 3);
  ASSERT_TRUE(tap) << tap.error().text();
  EXPECT_EQ((*tap)->lanes(), 3U);
  set_up((*tap)->interface_name(), true);
  const UniqueFd host = host_side((*tap)->interface_name());
  const std::string frame = frame_of(60);
  for (const unsigned used : {1U, 3U, 2U, 1U}) {
    const auto done = (*tap)->use_lanes(used);
    ASSERT_TRUE(done) << done.error().text();
    if (used != 1) continue;
    // With one lane in use all comes in there, whatever the flow.
    ASSERT_GT(::send(host.get(), frame.data() + kHeaderSize, 60, 0), 0);
    EXPECT_EQ(receive(**tap).size(), frame.size());
  }
}

TEST_F(TapTest, TakesQueuesThatAreOpen) {
  UniqueFd opened;
  const std::string name = open_queue(opened, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  const auto tap = Tap::adopt({opened.get()});
  ASSERT_TRUE(tap) << tap.error().text();
  EXPECT_EQ((*tap)->interface_name(), name);
  std::array<std::byte, 100> into;
  const iovec part{into.data(), into.size()};
  const auto nothing = (*tap)->receive(0, std::span(&part, 1));
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing) << "and does not block";
}

TEST_F(TapTest, RefusesDescriptorsThatAreNoQueues) {
  const auto error = [](const std::vector<int>& descriptors) {
    const auto tap = Tap::adopt(descriptors);
    return tap ? std::string() : tap.error().text();
  };
  EXPECT_NE(error({987}).find("is not open"), std::string::npos);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_NE(error({null.get()}).find("no queue of a tap"), std::string::npos);
  const UniqueFd unset(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  EXPECT_NE(error({unset.get()}).find("no queue of a tap"), std::string::npos);
  for (const int flags : {IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, IFF_TAP | IFF_NO_PI}) {
    UniqueFd queue;
    open_queue(queue, flags);
    EXPECT_NE(error({queue.get()}).find("was not opened with"), std::string::npos) << flags;
  }
  UniqueFd one;
  UniqueFd other;
  open_queue(one, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  open_queue(other, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
  EXPECT_NE(error({one.get(), other.get()}).find("the first of"), std::string::npos);
}

TEST_F(TapTest, ATapThatIsDeletedIsGone) {
  set_up(tap_->interface_name(), true);
  int told = 0;
  ASSERT_TRUE(tap_->watch(*loop_, [&](unsigned, Link::Readiness readiness) {
    if (readiness.receive) ++told;
  }));
  settle();
  told = 0;
  ASSERT_EQ(std::system(("ip link delete " + tap_->interface_name()).c_str()), 0);  // NOLINT
  ASSERT_TRUE(*loop_->run_once(10'000));
  settle();
  EXPECT_GE(told, 1);
  EXPECT_LE(told, 4) << "a tap that is gone keeps the loop busy";
  std::array<std::byte, 100> into;
  const iovec part{into.data(), into.size()};
  const auto received = tap_->receive(0, std::span(&part, 1));
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().kind(), ErrorKind::kState);
  EXPECT_EQ(send(*tap_, frame_of(60)).error().kind(), ErrorKind::kState);
}

}  // namespace
}  // namespace mote::network::test

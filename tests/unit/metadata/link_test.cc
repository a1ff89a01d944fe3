// The decorator: what goes on, what stays, and what the device hears.
#include "metadata/link.h"

// The kernel's header is C: one member there is called "class".
#define class class_
#include <linux/virtio_net.h>
#undef class
#include <linux/if_arp.h>

#include <gtest/gtest.h>

#include "metadata/tcp_peer.h"
#include "virtio/fake_link.h"

namespace mote::metadata {
namespace {

using network::kHeaderSize;
using test::Frame;
using test::Stage;
using virtio::test::FakeLink;

class MetadataLinkTest : public testing::Test {
 protected:
  MetadataLinkTest() {
    auto fake = std::make_unique<FakeLink>(2);
    behind = fake.get();
    link = stage.service.in_front_of("eth0", std::move(fake));
    EXPECT_TRUE(link->watch(*loop, [this](unsigned lane, network::Link::Readiness readiness) {
      if (readiness.receive) ready.push_back(lane);
    }));
  }

  static std::string with_header(const Frame& frame, char flags = 0) {
    std::string bytes(kHeaderSize, '\0');
    bytes[0] = flags;
    return bytes + std::string(reinterpret_cast<const char*>(frame.data()), frame.size());
  }
  Result<bool> send(std::string bytes, std::size_t part = 7, unsigned lane = 0) {
    std::vector<iovec> parts;
    for (std::size_t at = 0; at < bytes.size(); at += part) {
      parts.push_back({bytes.data() + at, std::min(part, bytes.size() - at)});
    }
    return link->send(lane, parts);
  }
  std::optional<std::string> receive(unsigned lane = 0) {
    std::string bytes(2000, '?');
    const std::array parts{iovec{bytes.data(), 5}, iovec{bytes.data() + 5, bytes.size() - 5}};
    const auto length = link->receive(lane, parts);
    EXPECT_TRUE(length);
    if (!length || !*length) return std::nullopt;
    bytes.resize(**length);
    return bytes;
  }
  static Frame frame_of(const std::string& bytes) {
    Frame frame(bytes.size() - kHeaderSize);
    std::memcpy(frame.data(), bytes.data() + kHeaderSize, frame.size());
    return frame;
  }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  Stage stage;
  FakeLink* behind = nullptr;
  std::unique_ptr<network::Link> link;
  std::vector<unsigned> ready;
};

TEST(MetadataService, StandsBeforeItsInterfacesOnly) {
  Stage stage;
  auto fake = std::make_unique<FakeLink>();
  const network::Link* plain = fake.get();
  EXPECT_EQ(stage.service.in_front_of("eth1", std::move(fake)).get(), plain);
  fake = std::make_unique<FakeLink>();
  plain = fake.get();
  const auto link = stage.service.in_front_of("eth0", std::move(fake));
  EXPECT_NE(link.get(), plain);
  EXPECT_EQ(link->name(), "the fake link");
}

TEST_F(MetadataLinkTest, PassesEverythingElseOnByteForByte) {
  const std::string other = with_header(test::arp_frame(ARPOP_REQUEST, 0x01020304), 1);
  std::string large =
      with_header(test::tcp_frame({.flags = "A", .payload = std::string(3000, 'p')}));
  large[kHeaderSize + kEthernetHeader + 16] = 1;  // another address
  for (const std::string& frame : {other, large}) {
    for (const std::size_t part : {std::size_t{1}, std::size_t{3}, std::size_t{60}, frame.size()}) {
      if (frame.size() / part > 1024) continue;
      behind->sent[1].clear();
      const auto sent = send(frame, part, 1);
      ASSERT_TRUE(sent && *sent);
      ASSERT_EQ(behind->sent[1].size(), 1U);
      EXPECT_EQ(behind->sent[1][0], frame);
      EXPECT_LE(behind->most_parts, 1024U);
    }
  }
  behind->room = 0;
  EXPECT_FALSE(*send(other));
  behind->room = 1;
  behind->refuse_next = true;
  EXPECT_FALSE(send(other));
  EXPECT_EQ(stage.metrics.rx_accepted, 0U);
}

TEST_F(MetadataLinkTest, KeepsToThePartsThatALinkTakes) {
  // 1024 parts of which the first is longer than what is looked at.
  std::string frame = with_header(test::arp_frame(ARPOP_REQUEST, 0x01020304));
  frame.resize(2000, 'x');
  std::vector<iovec> parts{{frame.data(), 977}};
  for (std::size_t at = 977; at < frame.size(); ++at) parts.push_back({frame.data() + at, 1});
  ASSERT_EQ(parts.size(), 1024U);
  ASSERT_TRUE(*link->send(0, parts));
  EXPECT_EQ(behind->sent[0].at(0), frame);
  EXPECT_LE(behind->most_parts, 1024U);
}

TEST_F(MetadataLinkTest, KeepsWhatIsForTheServiceAndSaysWhenItAnswers) {
  for (const std::size_t part : {1U, 54U, 55U, 1000U}) {
    ASSERT_TRUE(*send(with_header(test::arp_frame(ARPOP_REQUEST)), part, 1));
  }
  EXPECT_TRUE(behind->sent[1].empty());
  EXPECT_TRUE(ready.empty()) << "not in the middle of the sending";
  ASSERT_TRUE(loop->run_once(0));
  EXPECT_EQ(ready, std::vector<unsigned>{1});
  EXPECT_FALSE(receive(0));
  const auto reply = receive(1);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->substr(0, kHeaderSize), std::string(kHeaderSize, '\0'));
  EXPECT_EQ(reply->size(), kHeaderSize + 42);
  EXPECT_FALSE(receive(1));
}

TEST_F(MetadataLinkTest, PutsAnswersBesideWhatComesFromBehind) {
  behind->waiting[0].push_back("from behind");
  ASSERT_TRUE(*send(with_header(test::arp_frame(ARPOP_REQUEST))));
  EXPECT_EQ(receive()->size(), kHeaderSize + 42);
  EXPECT_EQ(*receive(), "from behind");
  EXPECT_FALSE(receive());
}

TEST_F(MetadataLinkTest, TakesChecksumsThatTheGuestLeavesToItsDevice) {
  const Frame frame = test::tcp_frame({.source_port = 4000, .flags = "S"}, false);
  ASSERT_TRUE(*send(with_header(frame)));
  EXPECT_FALSE(receive());
  ASSERT_TRUE(*send(with_header(frame, VIRTIO_NET_HDR_F_NEEDS_CSUM)));
  EXPECT_EQ(test::read_frame(frame_of(*receive())).flags, "SA");
}

TEST_F(MetadataLinkTest, SendsAgainByATimerOfTheLoop) {
  ASSERT_TRUE(*send(with_header(test::tcp_frame({.source_port = 4000, .flags = "S"}))));
  while (*loop->run_once(0)) {
  }
  ASSERT_TRUE(receive());
  ready.clear();
  for (int i = 0; i < 100 && ready.empty(); ++i) ASSERT_TRUE(loop->run_once(100));
  EXPECT_EQ(ready, std::vector<unsigned>{0});
  EXPECT_EQ(test::read_frame(frame_of(*receive())).flags, "SA");
}

TEST_F(MetadataLinkTest, BearsFramesThatAreTooShort) {
  for (std::size_t length = 0; length < kHeaderSize + kEthernetHeader; ++length) {
    ASSERT_TRUE(*send(std::string(length, '\0')));
  }
  EXPECT_EQ(behind->sent[0].size(), kHeaderSize + kEthernetHeader);
}

TEST_F(MetadataLinkTest, IsNotHeardOfWhenItIsGone) {
  ASSERT_TRUE(*send(with_header(test::arp_frame(ARPOP_REQUEST))));
  link.reset();
  while (*loop->run_once(0)) {
  }
  EXPECT_TRUE(ready.empty());
}

}  // namespace
}  // namespace mote::metadata

// What a network device says of itself, its control queue, and its state.
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include "log_lines.h"
#include "virtio/net/features.h"
#include "virtio/net_rig.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t bit(unsigned feature) { return std::uint64_t{1} << feature; }

class NetDeviceTest : public NetTest {
 protected:
  virtio_net_config config_space() {
    virtio_net_config config{};
    net_->read_config(
        0, std::as_writable_bytes(std::span(&config, 1)).first(net_->traits().config_size));
    return config;
  }
  // A command on the control queue; its answer.
  char command(std::uint16_t index, const std::string& bytes) {
    TestDriver& driver = queue(index, kMergeable | kSeveralPairs, 64);
    const auto head = driver.chain().in(bytes).out(1).push();
    driver.kick();
    EXPECT_EQ(driver.used(), (Used{head, 1}));
    return driver.ring.written(head)[0];
  }
  static std::string use_pairs(char pairs) {
    return {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, '\0'};
  }
};

TEST_F(NetDeviceTest, SaysWhatItIs) {
  build();
  const DeviceTraits traits = net_->traits();
  EXPECT_EQ(traits.type, std::uint32_t{VIRTIO_ID_NET});
  EXPECT_EQ(traits.queue_sizes, (std::vector<std::uint16_t>{256, 256}));
  EXPECT_EQ(traits.config_size, 12U);
  const std::uint64_t expected = bit(VIRTIO_NET_F_CSUM) | bit(VIRTIO_NET_F_GUEST_CSUM) |
                                 bit(VIRTIO_NET_F_HOST_TSO4) | bit(VIRTIO_NET_F_HOST_TSO6) |
                                 bit(VIRTIO_NET_F_GUEST_TSO4) | bit(VIRTIO_NET_F_GUEST_TSO6) |
                                 bit(VIRTIO_NET_F_HOST_ECN) | bit(VIRTIO_NET_F_GUEST_ECN) |
                                 bit(VIRTIO_NET_F_MRG_RXBUF) | bit(54) | bit(55) | bit(56);
  EXPECT_EQ(traits.features, expected);
}

TEST_F(NetDeviceTest, OffersWhatItsLinkCanDo) {
  build();
  link_->can = {.checksum = true, .tso4 = true, .tso6 = false, .ecn = false, .uso = false};
  EXPECT_EQ(net_->traits().features,
            bit(VIRTIO_NET_F_CSUM) | bit(VIRTIO_NET_F_GUEST_CSUM) | bit(VIRTIO_NET_F_HOST_TSO4) |
                bit(VIRTIO_NET_F_GUEST_TSO4) | bit(VIRTIO_NET_F_MRG_RXBUF));
  link_->can = {};
  EXPECT_EQ(net_->traits().features, bit(VIRTIO_NET_F_MRG_RXBUF));
}

TEST_F(NetDeviceTest, TellsAddressMtuAndPairs) {
  build({.iface_id = "test", .host_dev_name = "tap", .guest_mac = "06:00:AC:10:00:02", .mtu = 9000},
        3);
  const DeviceTraits traits = net_->traits();
  EXPECT_EQ(traits.queue_sizes, (std::vector<std::uint16_t>{256, 256, 256, 256, 256, 256, 64}));
  const std::uint64_t also = bit(VIRTIO_NET_F_MAC) | bit(VIRTIO_NET_F_MTU) | kSeveralPairs;
  EXPECT_EQ(traits.features & also, also);
  const virtio_net_config config = config_space();
  const std::array<std::uint8_t, 6> mac{6, 0, 0xac, 0x10, 0, 2};
  EXPECT_EQ(std::memcmp(config.mac, mac.data(), mac.size()), 0);
  EXPECT_EQ(config.mtu, 9000);
  EXPECT_EQ(config.max_virtqueue_pairs, 3);
  EXPECT_FALSE(net_->write_config(0, std::as_bytes(std::span(mac))));
}

TEST_F(NetDeviceTest, TheLinkIsToldWhatTheDriverTakes) {
  const auto taken = [&](std::uint64_t features) {
    build();
    queue(0, features);
    drivers_.clear();
    return link_->offloads;
  };
  using network::Offloads;
  EXPECT_EQ(taken(kMergeable), Offloads{});
  EXPECT_EQ(taken(bit(VIRTIO_NET_F_GUEST_CSUM)), Offloads{.checksum = true});
  EXPECT_EQ(taken(bit(VIRTIO_NET_F_GUEST_TSO4)), Offloads{}) << "needs the checksum";
  EXPECT_EQ(taken(bit(VIRTIO_NET_F_GUEST_CSUM) | bit(VIRTIO_NET_F_GUEST_ECN)),
            Offloads{.checksum = true})
      << "needs either TSO";
  EXPECT_EQ(taken(bit(VIRTIO_NET_F_GUEST_CSUM) | bit(54)), Offloads{.checksum = true})
      << "UDP over both, or none";
  build();
  EXPECT_EQ(taken(net_->traits().features),
            (Offloads{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true, .uso = true}));
  net_->reset();
  EXPECT_EQ(link_->offloads, Offloads{});
}

TEST_F(NetDeviceTest, ALinkThatRefusesTheOffloadsIsAnErrorOfTheStart) {
  build();
  link_->refuse_settings = true;
  EXPECT_THROW(queue(0), std::runtime_error);
}

TEST_F(NetDeviceTest, TheDriverChoosesHowManyPairsItUses) {
  build({.iface_id = "test", .host_dev_name = "tap"}, 4);
  EXPECT_EQ(link_->used, 1U);
  for (std::uint16_t i = 0; i < 8; ++i) queue(i, kMergeable | kSeveralPairs);
  for (std::uint16_t i = 0; i < 8; i += 2) queue(i).chain().out(200).push();
  // Only the first pair, until it says more.
  for (unsigned lane = 0; lane < 4; ++lane) link_->waiting[lane].push_back(frame_of(60));
  for (std::uint16_t i = 0; i < 8; ++i) {
    if (i % 2 == 1) queue(i).chain().in(frame_of(60)).push();
    queue(i).kick();
  }
  EXPECT_EQ(metrics().rx_packets_count, 1U);
  EXPECT_EQ(metrics().tx_packets_count, 1U);
  EXPECT_EQ(command(8, use_pairs(3)), VIRTIO_NET_OK);
  EXPECT_EQ(link_->used, 3U);
  EXPECT_EQ(metrics().rx_packets_count, 3U) << "what waited is served";
  EXPECT_EQ(metrics().tx_packets_count, 3U);
  EXPECT_EQ(link_->sent[2].size(), 1U);
  EXPECT_TRUE(link_->sent[3].empty());
  EXPECT_EQ(command(8, use_pairs(1)), VIRTIO_NET_OK);
  EXPECT_EQ(link_->used, 1U);
  EXPECT_EQ(metrics().control_fails, 0U);
}

TEST_F(NetDeviceTest, CommandsThatAreNoneAreRefused) {
  build({.iface_id = "test", .host_dev_name = "tap"}, 2);
  for (const std::string& bytes :
       {use_pairs(0), use_pairs(3), std::string{VIRTIO_NET_CTRL_MQ, 0, 0, 0x7f},
        use_pairs(1).substr(0, 3), use_pairs(1).substr(0, 1), std::string(),
        std::string{VIRTIO_NET_CTRL_MQ, 1, 1, 0}, std::string{VIRTIO_NET_CTRL_RX, 0, 1},
        std::string{VIRTIO_NET_CTRL_MAC, 1, 1, 2, 3, 4, 5, 6}, std::string(2000, '\xff')}) {
    EXPECT_EQ(command(4, bytes), VIRTIO_NET_ERR) << bytes.size();
  }
  EXPECT_EQ(metrics().control_fails, 10U);
  TestDriver& driver = queue(4);
  const auto head = driver.chain().in(use_pairs(2)).push();
  driver.kick();
  EXPECT_EQ(driver.used(), (Used{head, 0}));
  EXPECT_EQ(link_->used, 1U) << "without room for an answer nothing is done";
  link_->refuse_settings = true;
  EXPECT_EQ(command(4, use_pairs(2)), VIRTIO_NET_ERR);
}

TEST_F(NetDeviceTest, ADriverWithoutSeveralPairsHasItsControlQueueThird) {
  build({.iface_id = "test", .host_dev_name = "tap"}, 2);
  const std::uint64_t features = kMergeable | bit(VIRTIO_NET_F_CTRL_VQ);
  TestDriver& driver = queue(2, features, 64);
  const auto head = driver.chain().in(use_pairs(2)).out(1).push();
  driver.kick();
  EXPECT_EQ(driver.used(), (Used{head, 1}));
  EXPECT_EQ(driver.ring.written(head)[0], VIRTIO_NET_ERR);
  EXPECT_THROW(queue(3, features), std::runtime_error) << "it said that it has no such queue";
}

TEST_F(NetDeviceTest, AResetIsBackToOnePair) {
  build({.iface_id = "test", .host_dev_name = "tap"}, 2);
  EXPECT_EQ(command(4, use_pairs(2)), VIRTIO_NET_OK);
  drivers_.clear();
  net_->reset();
  EXPECT_EQ(link_->used, 1U);
  EXPECT_EQ(net_->save().active_queues, 1U);
}

TEST_F(NetDeviceTest, ALinkThatIsGoneIsLoggedOnceForAllOfItsLanes) {
  build({.iface_id = "test", .host_dev_name = "tap"}, 2);
  for (std::uint16_t i = 0; i < 4; ++i) queue(i, kMergeable | kSeveralPairs);
  ASSERT_EQ(command(4, use_pairs(2)), VIRTIO_NET_OK);
  const mote::test::LogLines log;
  link_->gone = true;
  for (const std::uint16_t receive : {0, 2}) {
    queue(receive).chain().out(2000).push();
    queue(receive).kick();
    const std::uint16_t transmit = receive + 1;
    queue(transmit).chain().in(frame_of(60)).push();
    queue(transmit).kick();
  }
  EXPECT_EQ(metrics().event_fails, 4U);
  EXPECT_EQ(log.count("interface 'test': the fake link is gone"), 1);
  EXPECT_EQ(log.count("\n"), 1) << log.text();
}

TEST_F(NetDeviceTest, GoesOnAsItWasSaved) {
  NetConfig config{.iface_id = "test",
                   .host_dev_name = "tap",
                   .guest_mac = "06:00:AC:10:00:02",
                   .mtu = 1400,
                   .num_queues = 2};
  build(config, 2);
  EXPECT_EQ(command(4, use_pairs(2)), VIRTIO_NET_OK);
  drivers_.clear();
  const NetState state = net_->save();
  EXPECT_EQ(state.guest_mac, "06:00:ac:10:00:02");
  // What the configuration does not say any more, the driver has read.
  config.guest_mac.reset();
  config.mtu.reset();
  auto link = std::make_unique<FakeLink>(2);
  const FakeLink* restored_link = link.get();
  auto restored = Net::restore(config, services_.get(), state, std::move(link));
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored_link->used, 2U);
  link_ = nullptr;
  net_ = std::move(*restored);
  EXPECT_EQ(config_space().mtu, 1400);
  EXPECT_EQ(config_space().mac[5], 2);
  EXPECT_NE(net_->traits().features & bit(VIRTIO_NET_F_MTU), 0U);
  EXPECT_EQ(net_->save().active_queues, 2U);
}

// The driver read the old address at its probe: it is told that there is another to be read.
TEST_F(NetDeviceTest, ARenamedMacIsShown) {
  NetConfig config{.iface_id = "test", .host_dev_name = "tap", .guest_mac = "06:00:ac:10:00:02"};
  build(config);
  drivers_.clear();
  const NetState state = net_->save();
  for (const bool renamed : {false, true}) {
    if (renamed) config.guest_mac = "06:00:AC:10:00:99";
    auto restored = Net::restore(config, services_.get(), state, std::make_unique<FakeLink>());
    ASSERT_TRUE(restored);
    link_ = nullptr;
    net_ = std::move(*restored);
    int told = 0;
    net_->set_config_listener([&told] { ++told; });
    EXPECT_EQ(config_space().mac[5], renamed ? 0x99 : 2);
    queue(0);
    EXPECT_EQ(told, renamed ? 1 : 0);
    drivers_.clear();
    EXPECT_EQ(net_->save().guest_mac, renamed ? "06:00:ac:10:00:99" : "06:00:ac:10:00:02");
    net_->set_config_listener(nullptr);
  }
}

// A bridge learns from it where the guest is now; once, and only after a load.
TEST_F(NetDeviceTest, AGuestThatIsElsewhereIsAnnounced) {
  const NetConfig config{
      .iface_id = "test", .host_dev_name = "tap", .guest_mac = "06:00:ac:10:00:02"};
  build(config);
  tx();
  EXPECT_TRUE(link_->sent[0].empty());
  drivers_.clear();
  auto link = std::make_unique<FakeLink>();
  FakeLink* const elsewhere = link.get();
  auto restored = Net::restore(config, services_.get(), net_->save(), std::move(link));
  ASSERT_TRUE(restored);
  net_ = std::move(*restored);
  for (int starts = 0; starts < 2; ++starts) {
    queue(0);
    tx();
    drivers_.clear();
  }
  ASSERT_EQ(elsewhere->sent[0].size(), 1U);
  const std::string mac("\x06\x00\xac\x10\x00\x02", 6);
  const std::string& frame = elsewhere->sent[0].front();
  EXPECT_EQ(frame.size(), kHeader + 60);
  EXPECT_EQ(frame.substr(0, kHeader), std::string(kHeader, '\0'));
  EXPECT_EQ(frame.substr(kHeader, 14), std::string(6, '\xff') + mac + "\x80\x35");
  EXPECT_EQ(frame.substr(kHeader + 14, 14),
            std::string("\x00\x01\x08\x00\x06\x04\x00\x03", 8) + mac);
  EXPECT_EQ(frame.substr(kHeader + 32, 6), mac);
}

TEST_F(NetDeviceTest, AStateThatDoesNotFitIsRefused) {
  const NetConfig config{.iface_id = "test", .host_dev_name = "tap", .num_queues = 2};
  const auto refused = [&](auto spoil) {
    NetState state{.num_queues = 2, .active_queues = 1};
    spoil(state);
    return !Net::restore(config, services_.get(), state, std::make_unique<FakeLink>(2));
  };
  EXPECT_FALSE(refused([](NetState&) {})) << "the good one is good";
  EXPECT_TRUE(refused([](NetState& state) { state.num_queues = 1; }));
  EXPECT_TRUE(refused([](NetState& state) { state.active_queues = 0; }));
  EXPECT_TRUE(refused([](NetState& state) { state.active_queues = 3; }));
  EXPECT_TRUE(refused([](NetState& state) { state.guest_mac = "x"; }));
  EXPECT_TRUE(refused([](NetState& state) { state.mtu = 1; }));
}

}  // namespace
}  // namespace mote::virtio::test

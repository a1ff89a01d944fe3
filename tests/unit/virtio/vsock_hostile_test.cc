// The vsock device against guests that break the protocol, and in random company.
#include <gtest/gtest.h>

#include <random>

#include "virtio/vsock_rig.h"

namespace mote::virtio::test {
namespace {

using vsock::Ports;

using VsockHostile = VsockTest;

TEST_F(VsockHostile, PacketsForNobodyAreReset) {
  build();
  for (const std::uint16_t op : {0, 2, 4, 5, 6, 7, 8, 65535}) {
    driver_->send(packet(op, 1, 2));
    const Packet answer = driver_->one();
    EXPECT_EQ(answer.header.op, kRst) << op;
    EXPECT_EQ(answer.header.src_port, 1U);
    EXPECT_EQ(answer.header.dst_port, 2U);
  }
  driver_->send(packet(kRst, 1, 2));
  EXPECT_TRUE(driver_->take().empty());
}

TEST_F(VsockHostile, OtherAddresses) {
  build();
  const End end = guest_dials(1, 2);
  vsock::Header header = packet(kRequest, 1, 2);
  header.dst_cid = 77;
  driver_->send(header);
  const Packet answer = driver_->one();
  EXPECT_EQ(answer.header.op, kRst);
  EXPECT_EQ(answer.header.src_cid, 77U) << "as from there, else the guest does not know which";
  EXPECT_FALSE(end->closed);
  for (const std::uint64_t cid : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{43},
                                  std::uint64_t{kGuestCid} + (std::uint64_t{1} << 32)}) {
    header = packet(kRw, 1, 2);
    header.src_cid = cid;
    driver_->send(header, "forged");
    EXPECT_TRUE(driver_->take().empty()) << cid;
  }
  EXPECT_EQ(end->outgoing, "");
  EXPECT_EQ(device_->metrics().tx_queue_event_fails, 4U);
}

TEST_F(VsockHostile, OtherTypesOfSockets) {
  build();
  backend_->services[1];
  for (const std::uint16_t type : {0, 2, 3, 65535}) {
    vsock::Header header = packet(kRequest, 1, 2);
    header.type = type;
    driver_->send(header);
    const Packet answer = driver_->one();
    EXPECT_EQ(answer.header.op, kRst);
    EXPECT_EQ(answer.header.type, type);
  }
  EXPECT_TRUE(backend_->services[1].empty());
}

TEST_F(VsockHostile, WhatDoesNotFitAConnectionEndsIt) {
  build();
  struct Case {
    const char* name;
    std::uint16_t op;
    std::string payload;
    std::uint32_t len = 0;
  };
  std::uint32_t port = 100;
  for (const Case& broken :
       {Case{"invalid", 0, ""}, Case{"unknown", 9, ""}, Case{"request again", kRequest, ""},
        Case{"response to nothing", kResponse, ""},
        Case{"control with payload", kCreditUpdate, "x"},
        Case{"longer than its chain", kRw, "x", 2}, Case{"longest", kRw, "x", UINT32_MAX},
        Case{"longer than a packet", kRw, "x", vsock::kMaxPayload + 1}}) {
    const End end = guest_dials(1, ++port);
    vsock::Header header = packet(broken.op, 1, port);
    header.len = broken.len;
    driver_->send(header, broken.payload);
    EXPECT_EQ(ops(driver_->take()), Ops{kRst}) << broken.name;
    EXPECT_TRUE(end->closed) << broken.name;
    EXPECT_EQ(end->outgoing, "") << broken.name;
  }
  EXPECT_EQ(device_->connections(), 0U);
  EXPECT_EQ(device_->metrics().conns_killed, 8U);
}

TEST_F(VsockHostile, DataAfterItsEndAndBeforeItsBeginning) {
  build();
  const End end = guest_dials(1, 2);
  send(kShutdown, {.host = 1, .guest = 2}, {}, vsock::kShutSend | 0xfffffff0U);
  EXPECT_FALSE(end->closed) << "unknown flags mean nothing";
  send(kRw, {.host = 1, .guest = 2}, "more");
  EXPECT_EQ(driver_->one().header.op, kRst);
  EXPECT_TRUE(end->closed);

  const End asked = backend_->dial(7);
  const Packet request = driver_->one();
  send(kRw, {.host = request.header.src_port, .guest = 7}, "not asked");
  EXPECT_EQ(driver_->one().header.op, kRst);
  EXPECT_TRUE(asked->closed);
  EXPECT_EQ(asked->outgoing, "");
}

TEST_F(VsockHostile, AShutdownOfNothingIsNothing) {
  build();
  const End end = guest_dials(1, 2);
  send(kShutdown, {.host = 1, .guest = 2}, {}, 0);
  EXPECT_FALSE(end->write_shut || end->read_shut || end->closed);
  EXPECT_TRUE(driver_->take().empty());
}

TEST_F(VsockHostile, HeadersAndPayloadsInManyPieces) {
  build();
  const End end = guest_dials(1, 2);
  TestRing& ring = *driver_->rings[1];
  vsock::Header header = packet(kRw, 1, 2);
  header.len = 30;
  const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof header);
  ChainBuilder chain = ring.chain();
  for (std::size_t i = 0; i < bytes.size(); i += 11) chain.in(bytes.substr(i, 11));
  for (int i = 0; i < 40; ++i) chain.in(std::string(1, static_cast<char>('A' + i)));
  chain.indirect().push();
  // Header and payload in one buffer, and bytes behind the payload that are not part of it.
  header.len = 5;
  ring.chain().in(std::string(bytes) + "12345" + "junk").push();
  driver_->kick(Vsock::kTx);
  EXPECT_EQ(ring.take_used().size(), 2U);
  EXPECT_EQ(end->outgoing, "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^12345");
}

TEST_F(VsockHostile, PacketsThatAreNone) {
  build();
  TestRing& ring = *driver_->rings[1];
  ring.chain().in("short").push();
  ring.chain().in(std::string(43, '\x01')).push();
  ring.chain().out(100).push();
  driver_->kick(Vsock::kTx);
  EXPECT_EQ(ring.take_used().size(), 3U);
  EXPECT_EQ(device_->metrics().tx_queue_event_fails, 3U);
  EXPECT_TRUE(driver_->take().empty());
}

TEST_F(VsockHostile, BuffersThatHoldNoPacketAreGivenBackEmpty) {
  build();
  const End end = guest_dials(1, 2);
  driver_->take(false);
  while (driver_->posted() > 0) {
    send(VIRTIO_VSOCK_OP_CREDIT_REQUEST, {.host = 1, .guest = 2});
    driver_->take(false);
  }
  TestRing& ring = *driver_->rings[0];
  std::vector<std::uint16_t> useless{ring.chain().out(44).push(), ring.chain().out(3).push(),
                                     ring.chain().in("for reading").push()};
  const auto split = ring.chain().out(40).out(3).out(1).out(1).out(3).out(2).push();
  end->incoming = "abcdefgh";
  run_host();
  std::vector<Used> used = ring.take_used();
  ASSERT_EQ(used.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(used[i], (Used{useless[i], 0}));
  EXPECT_EQ(used[3], (Used{split, 50}));
  EXPECT_EQ(ring.written(split).substr(44), "abcdef");
  EXPECT_EQ(device_->metrics().rx_queue_event_fails, 3U);
  EXPECT_EQ(end->incoming, "gh");
}

TEST_F(VsockHostile, AFloodOfPacketsForNobodyIsBounded) {
  build({.resets = 100});
  driver_->take(false);
  for (std::uint32_t i = 0; i < 1000; ++i) driver_->send(packet(kRw, i, i));
  EXPECT_EQ(device_->metrics().resets_dropped, 1000U - 100 - driver_->kRxSlots);
  std::size_t resets = driver_->take(false).size();
  while (true) {
    driver_->post();
    const auto packets = driver_->take(false);
    if (packets.empty()) break;
    resets += packets.size();
  }
  EXPECT_EQ(resets, 100U + driver_->kRxSlots);
}

TEST_F(VsockHostile, AFloodOfConnectionsIsBounded) {
  build({.connections = 20});
  backend_->services[1];
  for (std::uint32_t i = 0; i < 500; ++i) driver_->send(packet(kRequest, 1, i));
  EXPECT_EQ(device_->connections(), 20U);
  EXPECT_EQ(backend_->services[1].size(), 20U) << "the host is not even asked";
  EXPECT_EQ(device_->metrics().conns_refused, 480U);
}

TEST_F(VsockHostile, ALyingRingBreaksNothingElse) {
  build();
  const End end = guest_dials(1, 2);
  driver_->rings[1]->offer(999);
  device_->kick(Vsock::kTx);
  EXPECT_EQ(driver_->host.breaks, 1);
  driver_->host.breaks = 0;
  end->incoming = "x";
  run_host();
  EXPECT_EQ(driver_->one().payload, "x") << "until the transport stops the device";
}

// Every byte arrives once and in order, whatever comes between: both sides send, read and close at
// random, with little room anywhere.
class Chatter {
 public:
  Chatter(End end, Ports ports, unsigned seed)
      : end_(std::move(end)), ports_(ports), random_(seed) {}

  // The host's half of a step.
  void host_step() {
    if (end_->closed) return;
    if (random_() % 3 == 0 && host_said_ < kTotal) {
      const std::size_t length = std::min<std::size_t>(random_() % 9000, kTotal - host_said_);
      for (std::size_t i = 0; i < length; ++i) end_->incoming += byte(host_said_ + i);
      host_said_ += length;
    } else if (host_said_ == kTotal && random_() % 8 == 0) {
      end_->ended = true;
    }
    if (random_() % 4 == 0) end_->room = random_() % 20000;
    end_->most = 1 + random_() % 5000;
  }
  // The guest's: a packet, if it has one to send.
  std::optional<std::pair<vsock::Header, std::string>> guest_step() {
    vsock::Header header = packet(kCreditUpdate, ports_.host, ports_.guest, kCredit);
    if (random_() % 3 == 0) guest_read_ = guest_got_;
    header.fwd_cnt = guest_read_;
    std::string payload;
    const std::uint32_t room = vsock::kBufAlloc - (guest_said_ - host_forwarded_);
    if (guest_said_ < kTotal) {
      const std::size_t length =
          std::min<std::size_t>({random_() % 30000, room, kTotal - guest_said_});
      for (std::size_t i = 0; i < length; ++i) payload += byte(guest_said_ + i);
      guest_said_ += static_cast<std::uint32_t>(length);
      if (length > 0) header.op = kRw;
    } else if (!guest_shut_) {
      guest_shut_ = true;
      header.op = kShutdown;
      header.flags = vsock::kShutSend;
    }
    return std::pair(header, payload);
  }
  void guest_gets(const Packet& packet) {
    host_forwarded_ = packet.header.fwd_cnt;
    ASSERT_NE(packet.header.op, kRst);
    if (packet.header.op == kShutdown) told_end_ = true;
    if (packet.header.op != kRw) return;
    ASSERT_FALSE(told_end_) << "data after its end";
    ASSERT_LE(packet.payload.size(), kCredit - (guest_got_ - guest_read_)) << "beyond the credit";
    for (const char c : packet.payload) ASSERT_EQ(c, byte(guest_got_++));
  }
  bool done() const { return guest_got_ == kTotal && told_end_ && end_->outgoing.size() == kTotal; }
  void check_host() const {
    for (std::size_t i = 0; i < end_->outgoing.size(); ++i) ASSERT_EQ(end_->outgoing[i], byte(i));
    EXPECT_TRUE(end_->write_shut);
  }
  Ports ports() const { return ports_; }
  End end() const { return end_; }

 private:
  static constexpr std::uint32_t kTotal = 150000;
  static constexpr std::uint32_t kCredit = 10000;

  char byte(std::size_t at) const { return static_cast<char>((at * 31 + ports_.guest) >> 3); }

  End end_;
  Ports ports_;
  std::minstd_rand random_;
  std::size_t host_said_ = 0;
  std::uint32_t guest_said_ = 0;
  std::uint32_t guest_got_ = 0;
  std::uint32_t guest_read_ = 0;
  std::uint32_t host_forwarded_ = 0;
  bool guest_shut_ = false;
  bool told_end_ = false;
};

class VsockInterleaved : public VsockTest, public ::testing::WithParamInterface<unsigned> {};

TEST_P(VsockInterleaved, EveryByteArrivesInOrder) {
  const std::uint64_t plain = kRingFeatures & ~(std::uint64_t{1} << VIRTIO_RING_F_EVENT_IDX);
  build({}, GetParam() % 2 == 0 ? kRingFeatures : plain);
  std::minstd_rand random(GetParam());
  std::vector<Chatter> chatters;
  for (std::uint32_t i = 0; i < 12; ++i) {
    chatters.emplace_back(guest_dials(1, 100 + i, 10000), Ports{.host = 1, .guest = 100 + i},
                          GetParam() * 100 + i);
  }
  int rounds = 0;
  const auto all_done = [&] {
    return std::ranges::all_of(chatters, [](const Chatter& one) { return one.done(); });
  };
  while (!all_done()) {
    ASSERT_LT(++rounds, 20000) << "it stands still";
    Chatter& one = chatters[random() % chatters.size()];
    one.host_step();
    if (random() % 2 == 0) one.end()->poke();
    if (random() % 2 == 0 && !one.done()) {
      const auto said = one.guest_step();
      driver_->send(said->first, said->second);
    }
    if (random() % 50 == 0) {
      driver_->pause();
      run_host();
      driver_->resume();
    }
    for (const Packet& packet : driver_->take(random() % 3 != 0)) {
      for (Chatter& chatter : chatters) {
        if (chatter.ports() == Ports{packet.header.src_port, packet.header.dst_port}) {
          ASSERT_NO_FATAL_FAILURE(chatter.guest_gets(packet));
        }
      }
    }
    if (random() % 10 == 0) driver_->post(random() % 20);
  }
  for (const Chatter& one : chatters) ASSERT_NO_FATAL_FAILURE(one.check_host());
}

INSTANTIATE_TEST_SUITE_P(Seeds, VsockInterleaved, ::testing::Range(1U, 9U));

}  // namespace
}  // namespace mote::virtio::test

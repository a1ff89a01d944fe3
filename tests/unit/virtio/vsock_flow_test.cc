// The vsock device with a host in memory: credit both ways, who gets a turn, and what becomes of
// connections when the device stops.
#include <gtest/gtest.h>

#include "virtio/vsock_rig.h"

namespace mote::virtio::test {
namespace {

using vsock::Ports;

using VsockFlow = VsockTest;

// Credit
// ------------------------------------------------------------------------------------------------

TEST_F(VsockFlow, TheGuestsCreditIsKept) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2, 1000);
  end->incoming = std::string(3000, 'x');
  run_host();
  auto packets = driver_->take();
  EXPECT_EQ(payload_of(packets, ports).size(), 1000U);
  EXPECT_EQ(packets.back().header.op, kCreditRequest);
  EXPECT_EQ(end->wants_read, false) << "no need to hear of what it may not send";
  vsock::Header update = packet(kCreditUpdate, 1, 2, 1000);
  update.fwd_cnt = 600;
  driver_->send(update);
  packets = driver_->take();
  EXPECT_EQ(payload_of(packets, ports).size(), 600U);
  EXPECT_EQ(packets.back().header.op, kCreditRequest) << "asked anew, once";
  driver_->send(update);
  EXPECT_TRUE(driver_->take().empty());
  update.fwd_cnt = 1600;
  update.buf_alloc = 100000;
  driver_->send(update);
  EXPECT_EQ(payload_of(driver_->take(), ports).size(), 1400U);
  EXPECT_EQ(end->wants_read, true);
  // A guest that claims to have read more than it got has no credit, and harms itself alone.
  update.fwd_cnt = 1 << 30;
  driver_->send(update);
  end->incoming = "y";
  run_host();
  EXPECT_EQ(ops(driver_->take()), Ops{kCreditRequest});
}

TEST_F(VsockFlow, AHostThatDoesNotReadCostsTheGuestItsCreditAndNothingElse) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  end->room = 1000;
  const std::string text(vsock::kBufAlloc, 'a');
  send(kRw, ports, text);
  EXPECT_TRUE(end->wants_write);
  send(kRw, ports, std::string(1000, 'b'));
  auto packets = driver_->take();
  EXPECT_EQ(ops(packets), Ops{kCreditUpdate});
  EXPECT_EQ(packets[0].header.fwd_cnt, 1000U);
  end->room = 1 << 30;
  run_host();
  EXPECT_EQ(end->outgoing, text + std::string(1000, 'b'));
  EXPECT_FALSE(end->wants_write);
  packets = driver_->take();
  EXPECT_EQ(ops(packets), Ops{kCreditUpdate});
  EXPECT_EQ(packets[0].header.fwd_cnt, vsock::kBufAlloc + 1000);
}

TEST_F(VsockFlow, MoreThanItsCreditIsAReset) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  end->room = 0;
  send(kRw, ports, std::string(vsock::kBufAlloc - 1, 'a'));
  driver_->take();
  send(kRw, ports, "ab");
  EXPECT_EQ(driver_->one().header.op, kRst);
  EXPECT_TRUE(end->closed);
}

TEST_F(VsockFlow, CreditIsToldWhenAsked) {
  build();
  const End end = guest_dials(1, 2);
  send(kRw, {.host = 1, .guest = 2}, "123");
  EXPECT_TRUE(driver_->take().empty()) << "three bytes are no news";
  send(kCreditRequest, {.host = 1, .guest = 2});
  const Packet packet = driver_->one();
  EXPECT_EQ(packet.header.op, kCreditUpdate);
  EXPECT_EQ(packet.header.fwd_cnt, 3U);
}

// Turns
// ------------------------------------------------------------------------------------------------

TEST_F(VsockFlow, WithoutBuffersNothingIsReadAndNothingIsLost) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  driver_->take(false);
  end->incoming = std::string(std::size_t{4096} * 100, 'x');
  run_host();
  std::size_t got = payload_of(driver_->take(false), ports).size();
  EXPECT_EQ(got, std::size_t{4096} * driver_->kRxSlots);
  EXPECT_EQ(end->incoming.size() + got, std::size_t{4096} * 100);
  EXPECT_EQ(end->wants_read, false);
  const int reads = end->reads;
  run_host();
  EXPECT_EQ(end->reads, reads);
  while (got < std::size_t{4096} * 100) {
    driver_->post(1);
    const auto packets = driver_->take(false);
    ASSERT_EQ(packets.size(), 1U);
    got += packets[0].payload.size();
  }
  EXPECT_EQ(end->wants_read, false) << "a full read does not say that there is no more";
  driver_->post(1);
  EXPECT_EQ(end->wants_read, true);
  EXPECT_TRUE(driver_->take(false).empty());
}

TEST_F(VsockFlow, AFloodLeavesTheOthersTheirTurns) {
  build();
  const End loud = guest_dials(1, 2);
  const End quiet = guest_dials(1, 3);
  driver_->take(false);
  loud->incoming = std::string(1 << 20, 'x');
  run_host();
  driver_->take(false);
  quiet->incoming = "me too";
  run_host();
  driver_->post(2);
  EXPECT_EQ(payload_of(driver_->take(false), {.host = 1, .guest = 3}), "me too");
}

TEST_F(VsockFlow, ABatchIsOneInterruptAQueue) {
  build();
  const End end = guest_dials(1, 2);
  driver_->take();
  driver_->rings[0]->set_used_event(driver_->rings[0]->used_index());
  const int before = driver_->host.interrupts;
  end->incoming = std::string(std::size_t{4096} * 20, 'x');
  run_host();
  EXPECT_EQ(driver_->take().size(), 20U);
  EXPECT_EQ(driver_->host.interrupts, before + 1);
}

TEST_F(VsockFlow, WhatWasTakenComesBackWithTheAnswerOrSoon) {
  using namespace std::chrono_literals;
  build({.times = {}, .tx_delay = 20ms});
  TestRing& tx = *driver_->rings[1];
  backend_->services[1];
  driver_->offer(packet(kRequest, 1, 2));
  EXPECT_EQ(tx.take_used().size(), 1U) << "with the response";
  EXPECT_EQ(driver_->one().header.op, kResponse);
  const End end = backend_->services[1].back();
  ends_.push_back(end);
  driver_->offer(packet(kRw, 1, 2), "ping");
  EXPECT_EQ(end->outgoing, "ping");
  EXPECT_TRUE(tx.take_used().empty());
  end->incoming = "pong";
  run_host();
  EXPECT_EQ(tx.take_used().size(), 1U);
  EXPECT_EQ(driver_->one().payload, "pong");
  driver_->offer(packet(kRw, 1, 2), "nobody answers");
  wait(40ms);
  EXPECT_EQ(tx.take_used().size(), 1U);
  for (int i = 0; i < 100; ++i) driver_->offer(packet(kRw, 1, 2), "many");
  EXPECT_EQ(tx.take_used().size(), 64U) << "a quarter of the queue does not wait";
  driver_->pause();
  EXPECT_EQ(tx.take_used().size(), 36U);
  driver_->resume();
}

TEST_F(VsockFlow, AProgramThatAnswersAtOnceIsLookedFor) {
  using namespace std::chrono_literals;
  build({.times = {}, .tx_delay = 1s, .answer_window = 1'000'000'000});
  const End end = guest_dials(1, 2);
  driver_->take();
  // It is not known for that yet.
  driver_->offer(packet(kRw, 1, 2), "ping");
  EXPECT_EQ(end->looks, 0);
  end->incoming = "pong";
  run_host();
  EXPECT_EQ(driver_->one().payload, "pong");
  // Once its answers have been quick for a while, it is.
  end->on_look = [&] { end->incoming = "at once"; };
  for (int i = 0; end->looks == 0; ++i) {
    ASSERT_LT(i, 50);
    driver_->offer(packet(kRw, 1, 2), "ping");
    if (end->looks == 0) end->incoming = "soon";
    run_host();
    EXPECT_EQ(driver_->one().payload, end->looks == 0 ? "soon" : "at once");
  }
  end->on_look = [&] {
    if (end->looks > 5) end->incoming = "at once";
  };
  driver_->offer(packet(kRw, 1, 2), "ping");
  EXPECT_GT(end->looks, 5);
  EXPECT_EQ(driver_->one().payload, "at once") << "without a turn of the loop";
  EXPECT_EQ(end->releases, 3) << "once where it was there at the first look, else at once as well";
  // Not by one that the guest has no room to hear.
  const int before = end->looks;
  vsock::Header full = packet(kRw, 1, 2);
  full.buf_alloc = 0;
  driver_->offer(full, "ping");
  EXPECT_EQ(end->looks, before);
  driver_->offer(packet(VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 2));
  // Its end is an answer as well.
  end->on_look = [&] { end->ended = true; };
  driver_->offer(packet(kRw, 1, 2), "ping");
  EXPECT_EQ(driver_->one().header.op, kShutdown);
  // After which there is nothing to look for.
  const int looks = end->looks;
  driver_->offer(packet(kRw, 1, 2), "ping");
  EXPECT_EQ(end->looks, looks);
}

TEST(VsockAnswerPace, LooksForQuickAnswersAlone) {
  vsock::AnswerPace pace(1000);
  EXPECT_EQ(pace.look_until(), 0U) << "nothing is known";
  for (int i = 0; i < 20; ++i) {
    pace.asked(0);
    pace.answered(100);
  }
  pace.asked(5000);
  EXPECT_GT(pace.look_until(), 5100U);
  EXPECT_LE(pace.look_until(), 6000U);
  // In vain: ever more seldom, and never not at all.
  std::vector<int> pauses;
  for (int looks = 0; looks < 5; ++looks) {
    pace.dry();
    int pause = 0;
    while (pace.look_until() == 0) ++pause;
    pauses.push_back(pause);
  }
  EXPECT_EQ(pauses, (std::vector<int>{1, 3, 7, 15, 31}));
  // One that was not in vain is half of the way back.
  pace.came();
  pace.dry();
  for (int i = 0; i < 31; ++i) EXPECT_EQ(pace.look_until(), 0U) << i;
  EXPECT_GT(pace.look_until(), 0U);
  for (int i = 0; i < 5; ++i) pace.came();
  pace.dry();
  EXPECT_EQ(pace.look_until(), 0U);
  EXPECT_GT(pace.look_until(), 0U);
  // One that has become slow is not looked for.
  for (int i = 0; i < 20; ++i) {
    pace.asked(0);
    pace.answered(1'000'000);
  }
  EXPECT_EQ(pace.look_until(), 0U);
  vsock::AnswerPace never(0);
  never.asked(0);
  never.answered(0);
  EXPECT_EQ(never.look_until(), 0U);
}

TEST_F(VsockFlow, WhereOneInterruptTellsOfAllQueuesAnAnswerIsOne) {
  using namespace std::chrono_literals;
  build({.times = {}, .tx_delay = 1s});
  const End end = guest_dials(1, 2);
  driver_->take();
  for (const bool shared : {false, true}) {
    driver_->host.shared = shared;
    for (const std::size_t queue : {0U, 1U}) {
      TestRing& ring = *driver_->rings[queue];
      ring.take_used();
      ring.set_used_event(ring.used_index());
    }
    const int before = driver_->host.interrupts;
    driver_->offer(packet(kRw, 1, 2), "ping");
    end->incoming = "pong";
    run_host();
    EXPECT_EQ(driver_->host.interrupts, before + (shared ? 1 : 2));
    EXPECT_EQ(driver_->one().payload, "pong");
  }
}

TEST_F(VsockFlow, AThousandConnectionsAtOnce) {
  build();
  for (std::uint32_t i = 0; i < 1023; ++i) {
    if (i % 2 == 0) {
      guest_dials(1, 10000 + i);
    } else {
      host_dials(20000 + i);
    }
  }
  driver_->send(packet(kRequest, 1, 1));
  EXPECT_EQ(driver_->one().header.op, kRst);
  const End refused = backend_->dial(1);
  EXPECT_TRUE(refused->closed);
  EXPECT_EQ(device_->metrics().conns_refused, 2U);
  for (std::size_t i = 0; i < ends_.size(); ++i) ends_[i]->incoming = std::to_string(i);
  std::vector<Packet> packets;
  for (int round = 0; round < 20; ++round) {
    run_host();
    for (Packet& packet : driver_->take()) packets.push_back(std::move(packet));
  }
  ASSERT_EQ(packets.size(), 1023U);
  for (const Packet& packet : packets) {
    const std::uint32_t guest = packet.header.dst_port;
    EXPECT_EQ(packet.payload, std::to_string(guest < 20000 ? guest - 10000 : guest - 20000));
  }
}

TEST_F(VsockFlow, AResetOfTheDriverEndsEverything) {
  build();
  const End first = guest_dials(1, 2);
  const End second = host_dials(7);
  driver_->pause();
  EXPECT_FALSE(backend_->listening()) << "clients wait for the next driver";
  device_->reset();
  EXPECT_TRUE(first->closed);
  EXPECT_TRUE(second->closed);
  EXPECT_EQ(device_->connections(), 0U);
  driver_->resume();
  EXPECT_TRUE(driver_->take().empty());
  guest_dials(1, 2);
}

TEST_F(VsockFlow, APauseIsInvisible) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  driver_->pause();
  end->incoming = "while it slept";
  run_host();
  EXPECT_EQ(end->wants_read, false) << "a paused device is not woken again and again";
  driver_->resume();
  EXPECT_EQ(payload_of(driver_->take(), ports), "while it slept");
  send(kRw, ports, "thanks");
  EXPECT_EQ(end->outgoing, "thanks");
  EXPECT_TRUE(backend_->listening());
}

}  // namespace
}  // namespace mote::virtio::test

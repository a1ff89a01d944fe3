// The vsock device with a host in memory: how connections begin, pass data and end.
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include "virtio/vsock_rig.h"

namespace mote::virtio::test {
namespace {

using vsock::Ports;
using namespace std::chrono_literals;

TEST_F(VsockTest, SaysWhatItIs) {
  build();
  const DeviceTraits traits = device_->traits();
  EXPECT_EQ(traits.type, std::uint32_t{VIRTIO_ID_VSOCK});
  EXPECT_EQ(traits.queue_sizes, (std::vector<std::uint16_t>{256, 256, 256}));
  std::uint64_t cid = 0;
  ASSERT_EQ(traits.config_size, sizeof cid);
  device_->read_config(0, std::as_writable_bytes(std::span(&cid, 1)));
  EXPECT_EQ(cid, kGuestCid);
}

TEST_F(VsockTest, TheGuestConnectsAndTalks) {
  build();
  const Ports ports{.host = 1234, .guest = 5000};
  const End end = guest_dials(1234, 5000);
  EXPECT_FALSE(end->accepted_port) << "a service of the host hears nothing of the handshake";
  EXPECT_EQ(end->wants_read, true);
  send(kRw, ports, "hello");
  EXPECT_EQ(end->outgoing, "hello");
  end->incoming = "world";
  run_host();
  const Packet packet = driver_->one();
  EXPECT_EQ(packet.header.op, kRw);
  EXPECT_EQ(packet.payload, "world");
  EXPECT_EQ(packet.header.src_cid, vsock::kHostCid);
  EXPECT_EQ(packet.header.dst_cid, kGuestCid);
  EXPECT_EQ(packet.header.src_port, 1234U);
  EXPECT_EQ(packet.header.dst_port, 5000U);
  EXPECT_EQ(packet.header.type, VIRTIO_VSOCK_TYPE_STREAM);
  EXPECT_EQ(packet.header.buf_alloc, vsock::kBufAlloc);
  EXPECT_EQ(packet.header.fwd_cnt, 5U);
  EXPECT_EQ(end->reads, 1) << "a short read needs no second one";
  EXPECT_EQ(device_->metrics().tx_bytes_count, 5U);
  EXPECT_EQ(device_->metrics().rx_bytes_count, 5U);
  EXPECT_EQ(device_->metrics().conns_added, 1U);
}

TEST_F(VsockTest, TheHostConnectsAndTalks) {
  build();
  Ports ports;
  const End end = host_dials(52, &ports);
  EXPECT_EQ(ports.host, Vsock::kFirstHostPort);
  send(kRw, ports, "from the guest");
  EXPECT_EQ(end->outgoing, "from the guest");
  end->incoming = "from the host";
  run_host();
  EXPECT_EQ(driver_->one().payload, "from the host");
  Ports second;
  host_dials(52, &second);
  EXPECT_EQ(second.host, Vsock::kFirstHostPort + 1);
}

TEST_F(VsockTest, NobodyThereIsAReset) {
  build();
  driver_->send(packet(kRequest, 9, 5000));
  const Packet answer = driver_->one();
  EXPECT_EQ(answer.header.op, kRst);
  EXPECT_EQ(answer.header.src_port, 9U);
  EXPECT_EQ(answer.header.dst_port, 5000U);
  EXPECT_EQ(device_->metrics().conns_refused, 1U);
  EXPECT_EQ(device_->connections(), 0U);
}

TEST_F(VsockTest, AGuestThatRefusesClosesTheHostsStream) {
  build();
  const End end = backend_->dial(7);
  const Packet request = driver_->one();
  driver_->send(packet(kRst, request.header.src_port, 7));
  EXPECT_TRUE(end->closed);
  EXPECT_TRUE(driver_->take().empty()) << "no reset for a reset";
}

TEST_F(VsockTest, AGuestThatDoesNotAnswerIsNotWaitedForLong) {
  build({.times = {.answer = 20ms}});
  const End end = backend_->dial(7);
  EXPECT_EQ(driver_->one().header.op, kRequest);
  const End other = backend_->dial(8);
  const Packet request = driver_->one();
  driver_->send(packet(kResponse, request.header.src_port, 8));
  wait(40ms);
  EXPECT_TRUE(end->closed);
  EXPECT_FALSE(other->closed) << "this one was answered";
  EXPECT_EQ(ops(driver_->take()), Ops{kRst});
  ends_.push_back(other);
}

TEST_F(VsockTest, AHostProgramThatGivesUpIsTakenBack) {
  build();
  const End end = backend_->dial(7);
  EXPECT_EQ(driver_->one().header.op, kRequest);
  EXPECT_EQ(end->wants_read, false) << "what it says early waits";
  end->hung_up = true;
  EXPECT_TRUE(end->poke());
  EXPECT_TRUE(end->closed);
  EXPECT_EQ(ops(driver_->take()), Ops{kRst});
}

// The end of a connection
// ------------------------------------------------------------------------------------------------

TEST_F(VsockTest, TheHostEndsFirstAndTheGuestGoesOn) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  end->incoming = "last words";
  end->ended = true;
  run_host();
  const auto packets = driver_->take();
  ASSERT_EQ(ops(packets), (Ops{kRw, kShutdown}));
  EXPECT_EQ(packets[1].header.flags, vsock::kShutSend) << "the host may still read";
  send(kRw, ports, "still here");
  EXPECT_EQ(end->outgoing, "still here");
  send(kShutdown, ports, {}, vsock::kShutBoth);
  EXPECT_EQ(driver_->one().header.op, kRst) << "the answer that a clean end has";
  EXPECT_TRUE(end->closed);
  EXPECT_EQ(device_->metrics().conns_killed, 0U);
  EXPECT_EQ(device_->metrics().conns_removed, 1U);
}

TEST_F(VsockTest, TheGuestEndsFirstAndTheHostGoesOn) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  send(kRw, ports, "last words");
  send(kShutdown, ports, {}, vsock::kShutSend);
  EXPECT_TRUE(end->write_shut);
  EXPECT_FALSE(end->read_shut);
  end->incoming = "still here";
  run_host();
  EXPECT_EQ(driver_->one().payload, "still here");
  end->ended = true;
  run_host();
  EXPECT_EQ(driver_->one().header.op, kShutdown);
  send(kShutdown, ports, {}, vsock::kShutReceive);
  EXPECT_EQ(driver_->one().header.op, kRst);
  EXPECT_TRUE(end->closed);
  EXPECT_EQ(end->outgoing, "last words");
}

TEST_F(VsockTest, AGuestThatReceivesNoMoreFailsTheHostsWrites) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  send(kShutdown, ports, {}, vsock::kShutReceive);
  EXPECT_TRUE(end->read_shut);
  EXPECT_EQ(end->wants_read, false);
  send(kRw, ports, "but it sends");
  EXPECT_EQ(end->outgoing, "but it sends");
  EXPECT_TRUE(driver_->take().empty());
}

TEST_F(VsockTest, AHostThatIsGoneIsToldAndForgottenInTime) {
  build({.times = {.answer = 20ms}});
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  end->incoming = std::string(10000, 'x');
  end->hung_up = true;
  run_host();
  const auto packets = driver_->take();
  EXPECT_EQ(payload_of(packets, ports).size(), 10000U) << "what it had said before";
  ASSERT_EQ(packets.front().header.op, kShutdown);
  EXPECT_EQ(packets.front().header.flags, vsock::kShutReceive) << "the guest may stop at once";
  ASSERT_EQ(packets.back().header.op, kShutdown);
  EXPECT_EQ(packets.back().header.flags, vsock::kShutBoth);
  send(kRw, ports, "sent before it knew");
  EXPECT_TRUE(driver_->take().empty());
  EXPECT_FALSE(end->closed);
  wait(40ms);
  EXPECT_EQ(ops(driver_->take()), Ops{kRst});
  EXPECT_TRUE(end->closed);
  EXPECT_EQ(device_->metrics().conns_killed, 1U);
}

TEST_F(VsockTest, AGuestThatConfirmsTheEndIsNotReset) {
  build({.times = {.answer = 20ms}});
  const End end = guest_dials(1, 2);
  end->hung_up = true;
  run_host();
  driver_->take();
  send(kRst, {.host = 1, .guest = 2});
  EXPECT_TRUE(end->closed);
  wait(40ms);
  EXPECT_TRUE(driver_->take().empty());
}

TEST_F(VsockTest, StreamsThatFailAreResetsOrEnds) {
  build();
  const End unreadable = guest_dials(1, 2);
  unreadable->fail_reads = true;
  unreadable->incoming = "x";
  run_host();
  EXPECT_EQ(driver_->one().header.op, kRst);
  EXPECT_TRUE(unreadable->closed);
  EXPECT_EQ(device_->metrics().rx_read_fails, 1U);

  const End unwritable = guest_dials(1, 3);
  unwritable->fail_writes = true;
  send(kRw, {.host = 1, .guest = 3}, "lost");
  const Packet told = driver_->one();
  EXPECT_EQ(told.header.op, kShutdown);
  EXPECT_EQ(told.header.flags, vsock::kShutReceive);
  EXPECT_EQ(device_->metrics().tx_write_fails, 1U);
  unwritable->incoming = "but it writes";
  run_host();
  EXPECT_EQ(driver_->one().payload, "but it writes");
}

TEST_F(VsockTest, StreamsThatFailWithDataWaitingOrCannotBeWatchedAreCounted) {
  build();
  const End slow = guest_dials(1, 2);
  slow->room = 0;
  send(kRw, {.host = 1, .guest = 2}, "waits");
  EXPECT_TRUE(slow->wants_write);
  slow->room = 100;
  slow->fail_writes = true;
  run_host();
  EXPECT_EQ(device_->metrics().tx_flush_fails, 1U);
  EXPECT_EQ(driver_->one().header.op, kShutdown);

  const End unwatched = guest_dials(1, 3);
  unwatched->room = 0;
  unwatched->fail_watches = true;
  send(kRw, {.host = 1, .guest = 3}, "waits");
  EXPECT_EQ(device_->metrics().conn_event_fails, 1U);
  EXPECT_TRUE(unwatched->closed);
}

TEST_F(VsockTest, WhatAGuestSentBeforeItClosedReachesASlowHost) {
  build();
  const Ports ports{.host = 1, .guest = 2};
  const End end = guest_dials(1, 2);
  end->room = 10;
  const std::string text(5000, 't');
  send(kRw, ports, text);
  send(kShutdown, ports, {}, vsock::kShutBoth);
  EXPECT_EQ(ops(driver_->take()), Ops{kRst}) << "the guest is done with it";
  EXPECT_FALSE(end->closed);
  EXPECT_EQ(device_->connections(), 1U);
  // The guest may use the ports again at once.
  const End second = guest_dials(1, 2);
  end->room = 4000;
  run_host();
  end->room = 4000;
  run_host();
  EXPECT_EQ(end->outgoing, text);
  EXPECT_TRUE(end->closed);
  EXPECT_FALSE(second->closed);
}

TEST_F(VsockTest, AHostThatNeverReadsIsNotWaitedForAfterTheGuestClosed) {
  build({.times = {.drain = 20ms}});
  const End end = guest_dials(1, 2);
  end->room = 0;
  send(kRw, {.host = 1, .guest = 2}, "nobody reads this");
  send(kShutdown, {.host = 1, .guest = 2}, {}, vsock::kShutBoth);
  wait(40ms);
  EXPECT_TRUE(end->closed);
  EXPECT_EQ(ops(driver_->take()), Ops{kRst});
}

}  // namespace
}  // namespace mote::virtio::test

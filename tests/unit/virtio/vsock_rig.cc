#include "virtio/vsock_rig.h"

#include <algorithm>

namespace mote::virtio::test {

VsockDriver::VsockDriver(Vsock& device, std::uint64_t features) : device_(device) {
  for (std::uint16_t i = 0; i < 3; ++i) {
    rings.push_back(std::make_unique<TestRing>(memory, Vsock::kQueueSize,
                                               0x10000 + (i * (8ULL << 20)), features));
    auto queue = Queue::create({.memory = &memory,
                                .host = &host,
                                .index = i,
                                .max_size = Vsock::kQueueSize,
                                .features = rings[i]->features()},
                               rings[i]->addresses());
    if (!queue) throw std::runtime_error(queue.error().text());
    parked_[i] = std::move(*queue);
  }
  for (std::uint16_t i = 0; i < kRxSlots; ++i) {
    rx_at_.push_back(rings[0]->allocate(sizeof(vsock::Header)));
    rx_at_.push_back(rings[0]->allocate(kRxPayload));
    free_rx_.push_back(i);
  }
  for (std::uint16_t i = 0; i < kTxSlots; ++i) {
    tx_at_.push_back(rings[1]->allocate(sizeof(vsock::Header)));
    tx_at_.push_back(rings[1]->allocate(vsock::kMaxPayload));
  }
  resume();
}

VsockDriver::~VsockDriver() {
  for (std::uint16_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(rings[i]->gaps_intact()) << "the device wrote outside of the buffers";
    const auto queue = device_.stop(i);
    if (!queue) continue;
    EXPECT_EQ(queue->in_flight(), 0U);
    EXPECT_EQ(queue->forgotten(), 0U);
  }
}

void VsockDriver::pause() {
  for (std::uint16_t i = 0; i < 3; ++i) parked_[i] = device_.stop(i);
}

void VsockDriver::resume() {
  for (std::uint16_t i = 0; i < 3; ++i) {
    auto started = device_.start(i, std::move(*parked_[i]));
    if (!started) throw std::runtime_error(started.error().text());
    parked_[i].reset();
  }
  for (std::uint16_t i = 0; i < 3; ++i) kick(i);
}

void VsockDriver::kick(std::uint16_t index) {
  int asked = 0;
  do {
    asked = host.agains;
    device_.kick(index);
  } while (host.agains != asked);
}

void VsockDriver::post(std::size_t count) {
  for (; count > 0 && !free_rx_.empty(); --count) {
    const std::uint16_t slot = free_rx_.back();
    free_rx_.pop_back();
    const auto head = static_cast<std::uint16_t>(2 * slot);
    rings[0]->put(head, {.address = rx_at_[head],
                         .length = sizeof(vsock::Header),
                         .flags = VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
                         .next = static_cast<std::uint16_t>(head + 1)});
    rings[0]->put(head + 1,
                  {.address = rx_at_[head + 1], .length = kRxPayload, .flags = VRING_DESC_F_WRITE});
    rings[0]->offer(head);
  }
  kick(Vsock::kRx);
}

void VsockDriver::send(vsock::Header header, std::string_view payload) {
  offer(header, payload);
  EXPECT_EQ(rings[1]->take_used().size(), 1U) << "a packet is always taken";
}

void VsockDriver::offer(vsock::Header header, std::string_view payload) {
  if (header.len == 0) header.len = static_cast<std::uint32_t>(payload.size());
  const auto head = static_cast<std::uint16_t>(2 * (next_tx_++ % kTxSlots));
  ASSERT_TRUE(memory.write(tx_at_[head], header));
  ASSERT_TRUE(memory.write(tx_at_[head + 1], std::as_bytes(std::span(payload))));
  rings[1]->put(head, {.address = tx_at_[head],
                       .length = sizeof(vsock::Header),
                       .flags = VRING_DESC_F_NEXT,
                       .next = static_cast<std::uint16_t>(head + 1)});
  rings[1]->put(head + 1, {.address = tx_at_[head + 1],
                           .length = static_cast<std::uint32_t>(payload.size())});
  rings[1]->offer(head);
  kick(Vsock::kTx);
}

std::vector<Packet> VsockDriver::take(bool repost) {
  std::vector<Packet> packets;
  for (const Used& used : rings[0]->take_used()) {
    const auto slot = static_cast<std::uint16_t>(used.head / 2);
    free_rx_.push_back(slot);
    Packet packet{.header = *memory.read<vsock::Header>(rx_at_[2 * slot]), .payload = {}};
    EXPECT_GE(used.length, sizeof(vsock::Header));
    EXPECT_EQ(used.length, sizeof(vsock::Header) + packet.header.len);
    packet.payload.resize(packet.header.len);
    EXPECT_TRUE(
        memory.read(rx_at_[(2 * slot) + 1], std::as_writable_bytes(std::span(packet.payload))));
    packets.push_back(std::move(packet));
  }
  if (repost) post(packets.size());
  return packets;
}

Packet VsockDriver::one() {
  const auto packets = take();
  EXPECT_EQ(packets.size(), 1U);
  return packets.empty() ? Packet{} : packets.front();
}

vsock::Header packet(std::uint16_t op, std::uint32_t host_port, std::uint32_t guest_port,
                     std::uint32_t credit) {
  return {.src_cid = kGuestCid,
          .dst_cid = vsock::kHostCid,
          .src_port = guest_port,
          .dst_port = host_port,
          .len = 0,
          .type = VIRTIO_VSOCK_TYPE_STREAM,
          .op = op,
          .flags = 0,
          .buf_alloc = credit,
          .fwd_cnt = 0};
}

void VsockTest::build(Vsock::Limits limits, std::uint64_t features) {
  // Packets come back at once, unless a test is about that.
  if (limits.tx_delay == Vsock::Limits().tx_delay) limits.tx_delay = {};
  // As above: a test that is about it says so.
  if (limits.answer_window == Vsock::Limits().answer_window) limits.answer_window = 0;
  auto backend = std::make_unique<FakeBackend>();
  backend_ = backend.get();
  auto device = Vsock::over(kGuestCid, std::move(backend), *loop_, limits);
  ASSERT_TRUE(device);
  device_ = std::move(*device);
  driver_ = std::make_unique<VsockDriver>(*device_, features);
  driver_->post();
}

void VsockTest::TearDown() {
  EXPECT_EQ(driver_->host.breaks, 0);
  driver_.reset();
  device_.reset();
  for (const End& end : ends_) EXPECT_TRUE(end->closed);
}

End VsockTest::guest_dials(std::uint32_t host_port, std::uint32_t guest_port,
                           std::uint32_t credit) {
  backend_->services[host_port];
  driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, host_port, guest_port, credit));
  const Packet answer = driver_->one();
  EXPECT_EQ(answer.header.op, VIRTIO_VSOCK_OP_RESPONSE);
  ends_.push_back(backend_->services[host_port].back());
  return ends_.back();
}

End VsockTest::host_dials(std::uint32_t guest_port, vsock::Ports* ports, std::uint32_t credit) {
  ends_.push_back(backend_->dial(guest_port));
  const Packet request = driver_->one();
  EXPECT_EQ(request.header.op, VIRTIO_VSOCK_OP_REQUEST);
  EXPECT_EQ(request.header.dst_port, guest_port);
  const std::uint32_t host_port = request.header.src_port;
  driver_->send(packet(VIRTIO_VSOCK_OP_RESPONSE, host_port, guest_port, credit));
  EXPECT_EQ(ends_.back()->accepted_port, host_port);
  if (ports != nullptr) *ports = {.host = host_port, .guest = guest_port};
  return ends_.back();
}

void VsockTest::send(std::uint16_t op, vsock::Ports ports, std::string_view payload,
                     std::uint32_t flags) {
  vsock::Header header = packet(op, ports.host, ports.guest);
  header.flags = flags;
  driver_->send(header, payload);
}

void VsockTest::run_host() {
  const auto bytes_passed = [this] {
    std::size_t sum = 0;
    for (const End& end : ends_) sum += end->outgoing.size() - end->incoming.size();
    return sum;
  };
  int idle_turns = 0;
  for (bool any = true; any;) {
    const std::size_t before = bytes_passed();
    any = false;
    for (const End& end : ends_) any = end->poke() || any;
    idle_turns = bytes_passed() == before ? idle_turns + 1 : 0;
    ASSERT_LT(idle_turns, 5) << "the device listens to what it cannot take";
  }
}

std::string VsockTest::payload_of(const std::vector<Packet>& packets, vsock::Ports ports) {
  std::string all;
  for (const Packet& packet : packets) {
    if (packet.header.src_port != ports.host || packet.header.dst_port != ports.guest) continue;
    if (packet.header.op == VIRTIO_VSOCK_OP_RW) all += packet.payload;
  }
  return all;
}

std::vector<std::uint16_t> VsockTest::ops(const std::vector<Packet>& packets) {
  std::vector<std::uint16_t> found;
  for (const Packet& packet : packets) found.push_back(packet.header.op);
  return found;
}

void VsockTest::wait(std::chrono::milliseconds time) {
  const auto end = vsock::Clock::now() + time;
  while (vsock::Clock::now() < end) ASSERT_TRUE(loop_->run_once(5));
}

}  // namespace mote::virtio::test

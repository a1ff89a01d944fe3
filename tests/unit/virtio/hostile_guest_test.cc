// What a hostile guest does to every kind of device alike: on each of its queues chains that no
// driver makes, sizes of queues and features that nobody offered, writes to its configuration,
// kicks whenever they are out of place. What a device answers is its own tests' matter; here it
// lives, and serves a driver that comes after a reset.
#include <gtest/gtest.h>

#include "virtio/device_fixture.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint16_t kNext = VRING_DESC_F_NEXT;
constexpr std::uint16_t kWrite = VRING_DESC_F_WRITE;
constexpr std::uint16_t kIndirect = VRING_DESC_F_INDIRECT;
constexpr std::uint64_t kBuffer = 512 << 20;  // in guest memory, behind all rings
constexpr std::uint64_t kTable = 513 << 20;
constexpr std::uint64_t kRingsApart = 8 << 20;

template <typename D>
class HostileGuest : public DeviceFixture<D> {
 protected:
  std::uint16_t queues() { return this->device_->traits().queue_sizes.size(); }
  // A start with all of the device's queues, each on a ring of its own.
  void start_all() {
    rings_.clear();
    this->driver_->negotiate(this->driver_->offered());
    for (std::uint16_t i = 0; i < queues(); ++i) {
      rings_.push_back(std::make_unique<TestRing>(this->memory_, this->kSize,
                                                  0x10000 + (i * kRingsApart),
                                                  this->driver_->offered() & kRingFeatures));
      this->driver_->set_up_queue(i, rings_.back()->addresses());
    }
    ASSERT_EQ(this->driver_->set_status(kDriverOk), kDriverOk);
  }
  void kick(std::uint16_t queue) {
    this->driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    for (int i = 0; i < 3; ++i) this->mmio_->handle_notify(queue);
  }
  void expect_that_a_reset_mends_it() {
    ASSERT_EQ(this->driver_->set_status(0), 0U);
    this->fresh_ring();
    ASSERT_EQ(this->start(), kDriverOk);
    this->expect_works();
    ASSERT_EQ(this->driver_->set_status(0), 0U);
  }

  std::vector<std::unique_ptr<TestRing>> rings_;
};
TYPED_TEST_SUITE(HostileGuest, Devices);

void offer_one(TestRing& ring, const Descriptor& descriptor) {
  ring.put(0, descriptor);
  ring.offer(0);
}

// As many descriptors as the ring has, or as a table may have.
void offer_many(TestRing& ring, std::uint16_t count, std::uint16_t flags, std::uint32_t length,
                bool table) {
  for (std::uint16_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const Descriptor descriptor{.address = kBuffer + i,
                                .length = length,
                                .flags = static_cast<std::uint16_t>(flags | (last ? 0 : kNext)),
                                .next = static_cast<std::uint16_t>(i + 1)};
    table ? ring.put_at(kTable, i, descriptor) : ring.put(i, descriptor);
  }
  if (table) ring.put(0, {kTable, count * 16U, kIndirect, 0});
  ring.offer(0);
}

struct HostileChain {
  const char* name;
  void (*offer)(TestRing&);
};

constexpr HostileChain kChains[] = {
    {"only to read", [](TestRing& ring) { offer_one(ring, {kBuffer, 4096, 0, 0}); }},
    {"only to write", [](TestRing& ring) { offer_one(ring, {kBuffer, 4096, kWrite, 0}); }},
    {"a byte to read", [](TestRing& ring) { offer_one(ring, {kBuffer, 1, 0, 0}); }},
    {"a byte to write", [](TestRing& ring) { offer_one(ring, {kBuffer, 1, kWrite, 0}); }},
    {"nothing to read", [](TestRing& ring) { offer_one(ring, {kBuffer, 0, 0, 0}); }},
    {"nothing to write", [](TestRing& ring) { offer_one(ring, {kBuffer, 0, kWrite, 0}); }},
    {"nothing of both",
     [](TestRing& ring) {
       ring.put(1, {kBuffer, 0, kWrite, 0});
       offer_one(ring, {kBuffer, 0, kNext, 1});
     }},
    {"nothing between",
     [](TestRing& ring) {
       ring.put(1, {0, 0, kNext, 2});
       ring.put(2, {kBuffer, 64, kWrite, 0});
       offer_one(ring, {kBuffer, 16, kNext, 1});
     }},
    {"nothing at an address that is none",
     [](TestRing& ring) { offer_one(ring, {UINT64_MAX, 0, kWrite, 0}); }},
    {"to write before to read",
     [](TestRing& ring) {
       ring.put(1, {kBuffer, 64, 0, 0});
       offer_one(ring, {kBuffer, 64, kWrite | kNext, 1});
     }},
    {"a buffer that is both",
     [](TestRing& ring) {
       ring.put(1, {kBuffer, 512, kWrite, 0});
       offer_one(ring, {kBuffer, 512, kNext, 1});
     }},
    {"buffers that overlap",
     [](TestRing& ring) {
       ring.put(1, {kBuffer + 8, 4096, kWrite | kNext, 2});
       ring.put(2, {kBuffer + 12, 4096, kWrite, 0});
       offer_one(ring, {kBuffer, 64, kNext, 1});
     }},
    {"its own ring to write",
     [](TestRing& ring) {
       const QueueAddresses at = ring.addresses();
       ring.put(1, {at.descriptors, 256, kWrite | kNext, 2});
       ring.put(2, {at.driver, 32, kWrite | kNext, 3});
       ring.put(3, {at.device, 64, kWrite, 0});
       offer_one(ring, {at.descriptors, 256, kNext, 1});
     }},
    {"nearly all of memory to read", [](TestRing& ring) { offer_one(ring, {0, kLowEnd, 0, 0}); }},
    {"half of memory to write",
     [](TestRing& ring) { offer_one(ring, {kBuffer, kLowEnd / 2, kWrite, 0}); }},
    {"nowhere to read", [](TestRing& ring) { offer_one(ring, {kLowEnd, 16, 0, 0}); }},
    {"nowhere to write", [](TestRing& ring) { offer_one(ring, {kHighEnd, 16, kWrite, 0}); }},
    {"partly nowhere", [](TestRing& ring) { offer_one(ring, {kLowEnd - 8, 16, kWrite, 0}); }},
    {"over the end of addresses",
     [](TestRing& ring) { offer_one(ring, {UINT64_MAX - 7, 16, kWrite, 0}); }},
    {"all descriptors to read", [](TestRing& ring) { offer_many(ring, 16, 0, 3, false); }},
    {"all descriptors to write", [](TestRing& ring) { offer_many(ring, 16, kWrite, 3, false); }},
    {"a thousand to read", [](TestRing& ring) { offer_many(ring, 1024, 0, 7, true); }},
    {"a thousand to write", [](TestRing& ring) { offer_many(ring, 1024, kWrite, 7, true); }},
    {"a thousand of nothing", [](TestRing& ring) { offer_many(ring, 1024, kWrite, 0, true); }},
    {"thousands to read", [](TestRing& ring) { offer_many(ring, 4000, 0, 1, true); }},
    {"thousands to write", [](TestRing& ring) { offer_many(ring, 4000, kWrite, 1, true); }},
    {"a ring without end",
     [](TestRing& ring) {
       ring.put(1, {kBuffer, 1, kNext, 0});
       offer_one(ring, {kBuffer, 1, kNext, 1});
     }},
    {"one chain sixteen times",
     [](TestRing& ring) {
       ring.put(0, {kBuffer, 64, kWrite, 0});
       for (int i = 0; i < 16; ++i) ring.offer(0);
     }},
};

// Whatever lies in the buffers: nothing, ones, and what a request of the device may begin with.
constexpr std::byte kContents[] = {std::byte{0}, std::byte{0xff}, std::byte{1}, std::byte{2}};

TYPED_TEST(HostileGuest, ChainsThatNoDriverMakesOnEveryQueue) {
  std::vector<std::byte> content(8192);
  for (const HostileChain& chain : kChains) {
    for (std::uint16_t queue = 0; queue < this->queues(); ++queue) {
      SCOPED_TRACE(fmt::format("{} on queue {}", chain.name, queue));
      for (const std::byte fill : kContents) {
        ASSERT_NO_FATAL_FAILURE(this->start_all());
        std::ranges::fill(content, fill);
        ASSERT_TRUE(this->memory_.write(kBuffer, std::as_bytes(std::span(content))));
        chain.offer(*this->rings_[queue]);
        this->kick(queue);
        const std::uint32_t status = this->driver_->status();
        EXPECT_TRUE(status == kDriverOk || status == (kDriverOk | kNeedsReset)) << status;
        for (std::uint16_t other = 0; other < this->queues(); ++other) this->kick(other);
        this->driver_->set_status(0);
      }
      ASSERT_NO_FATAL_FAILURE(this->expect_that_a_reset_mends_it());
    }
  }
}

TYPED_TEST(HostileGuest, SizesThatNoQueueHas) {
  for (std::uint16_t queue = 0; queue < this->queues(); ++queue) {
    const std::uint32_t most = this->device_->traits().queue_sizes[queue];
    for (const std::uint32_t size : {0U, 3U, most - 1, 2 * most, 65535U, 65536U, 65552U, ~0U}) {
      SCOPED_TRACE(fmt::format("{} entries in queue {}", size, queue));
      QueueAddresses addresses = this->ring_->addresses();
      addresses.size = size;
      if (std::has_single_bit(size) && size <= most) continue;
      this->driver_->negotiate(this->driver_->offered());
      this->driver_->set_up_queue(queue, addresses);
      this->driver_->set_status(kDriverOk);
      EXPECT_EQ(this->driver_->status(), kDriverOk | kNeedsReset);
      EXPECT_FALSE(this->device_->stop(queue)) << "it was not started";
      this->kick(queue);
    }
    ASSERT_NO_FATAL_FAILURE(this->expect_that_a_reset_mends_it());
  }
}

TYPED_TEST(HostileGuest, FeaturesThatWereNotOffered) {
  const std::uint64_t offered = this->driver_->offered();
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t feature = std::uint64_t{1} << bit;
    if ((offered & feature) != 0) continue;
    EXPECT_EQ(this->driver_->negotiate(offered | feature), kDriver) << bit;
    EXPECT_EQ(this->driver_->negotiate(feature), kDriver) << bit << " alone";
  }
  ASSERT_NO_FATAL_FAILURE(this->expect_that_a_reset_mends_it());
}

TYPED_TEST(HostileGuest, WritesToItsConfiguration) {
  const auto scribble = [&](auto value) {
    for (std::uint64_t at = VIRTIO_MMIO_CONFIG; at < VIRTIO_MMIO_CONFIG + 256; ++at) {
      this->driver_->set_as(at, value);
      this->driver_->set_as(at, decltype(value){0});
    }
    this->driver_->set_as(Mmio::kSize - sizeof value, value);
  };
  const auto scribble_all = [&] {
    scribble(std::uint8_t{0xff});
    scribble(std::uint16_t{0xffff});
    scribble(std::uint32_t{0xffffffff});
    scribble(std::uint64_t{0xffffffffffffffff});
  };
  scribble_all();
  ASSERT_NO_FATAL_FAILURE(this->start_all());
  scribble_all();
  EXPECT_EQ(this->driver_->status(), kDriverOk);
  this->mmio_->pause();
  scribble_all();
  this->mmio_->resume();
  ASSERT_NO_FATAL_FAILURE(this->expect_that_a_reset_mends_it());
}

TYPED_TEST(HostileGuest, KicksOutOfPlace) {
  const auto kick_all = [&] {
    for (std::uint16_t queue = 0; queue < this->queues(); ++queue) this->kick(queue);
    for (const std::uint32_t none : {std::uint32_t{this->queues()}, 65535U, 65536U, ~0U}) {
      this->driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, none);
    }
  };
  kick_all();
  this->driver_->negotiate(this->driver_->offered());
  kick_all();
  this->mmio_->pause();
  kick_all();
  this->mmio_->resume();
  ASSERT_NO_FATAL_FAILURE(this->start_all());
  kick_all();
  this->mmio_->pause();
  kick_all();
  EXPECT_EQ(this->driver_->set_status(0), 0U);
  kick_all();
  this->mmio_->resume();
  kick_all();
  ASSERT_NO_FATAL_FAILURE(this->expect_that_a_reset_mends_it());
}

}  // namespace
}  // namespace mote::virtio::test

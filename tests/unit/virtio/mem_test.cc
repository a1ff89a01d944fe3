// The memory device over slots that fail when they are told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "locked_pages.h"
#include "log_lines.h"
#include "virtio/mem/device.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kBlock = 2 * kMib;
constexpr std::uint16_t kSlotBlocks = 64;  // of 128 MiB

class MemTest : public ::testing::Test {
 protected:
  MemTest() { build({.total_size_mib = 512, .requested_size_mib = 512}); }
  ~MemTest() override { EXPECT_EQ(machine_->slots.misuses, 0); }

  void build(const MemConfig& config) {
    driver_.reset();
    mem_.reset();
    machine_ = std::make_unique<TestServices>();
    auto made = Mem::create(config, machine_->get());
    ASSERT_TRUE(made) << made.error().text();
    mem_ = std::move(*made);
    driver_ = std::make_unique<TestDriver>(*mem_, 64);
  }
  struct Answer {
    std::uint16_t type = 99;
    std::uint16_t state = 99;
    bool operator==(const Answer&) const = default;
  };
  Answer ask(std::uint16_t type, std::uint64_t address, std::uint16_t count) {
    virtio_mem_req request{};
    request.type = type;
    request.u.plug.addr = address;
    request.u.plug.nb_blocks = count;
    const auto head = driver_->chain().in_value(request).out(sizeof(virtio_mem_resp)).push();
    driver_->kick();
    EXPECT_EQ(driver_->used(), (Used{head, sizeof(virtio_mem_resp)}));
    virtio_mem_resp response{};
    std::memcpy(&response, driver_->ring.written(head).data(), sizeof response);
    return {response.type, response.u.state.state};
  }
  std::uint64_t at(std::uint64_t block) { return device_window()[0].start + block * kBlock; }
  std::uint16_t plug(std::uint64_t block, std::uint16_t count) {
    return ask(VIRTIO_MEM_REQ_PLUG, at(block), count).type;
  }
  std::uint16_t unplug(std::uint64_t block, std::uint16_t count) {
    return ask(VIRTIO_MEM_REQ_UNPLUG, at(block), count).type;
  }
  Answer state(std::uint64_t block, std::uint16_t count) {
    return ask(VIRTIO_MEM_REQ_STATE, at(block), count);
  }
  const memory::GuestMemory& memory() { return machine_->memory; }
  std::size_t slots() { return machine_->slots.slots.size(); }
  // Bytes of the slot's host memory that the host has, of 128 MiB.
  std::uint64_t resident(std::byte* host) {
    std::vector<unsigned char> pages(128 * kMib / 4096);
    EXPECT_EQ(::mincore(host, 128 * kMib, pages.data()), 0);
    return static_cast<std::uint64_t>(
               std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; })) *
           4096;
  }

  std::unique_ptr<TestServices> machine_;
  std::unique_ptr<Mem> mem_;
  std::unique_ptr<TestDriver> driver_;
};

constexpr std::uint16_t kAck = VIRTIO_MEM_RESP_ACK;
constexpr std::uint16_t kNack = VIRTIO_MEM_RESP_NACK;
constexpr std::uint16_t kBusy = VIRTIO_MEM_RESP_BUSY;
constexpr std::uint16_t kError = VIRTIO_MEM_RESP_ERROR;

TEST_F(MemTest, SaysWhatItIs) {
  EXPECT_EQ(mem_->traits().type, std::uint32_t{VIRTIO_ID_MEM});
  EXPECT_EQ(mem_->traits().features, 1U << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
  virtio_mem_config config{};
  mem_->read_config(0, std::as_writable_bytes(std::span(&config, 1)));
  EXPECT_EQ(config.block_size, kBlock);
  EXPECT_EQ(config.addr, at(0));
  EXPECT_EQ(config.region_size, 512 * kMib);
  EXPECT_EQ(config.usable_region_size, 512 * kMib);
  EXPECT_EQ(config.plugged_size, 0U);
  EXPECT_EQ(config.requested_size, 512 * kMib);
  EXPECT_EQ(slots(), 0U);
  EXPECT_FALSE(memory().find(at(0), 1));
}

TEST_F(MemTest, BlocksThatAreNotThereAreRefused) {
  EXPECT_EQ(plug(0, 0), kError);
  EXPECT_EQ(plug(256, 1), kError) << "behind the end";
  EXPECT_EQ(plug(255, 2), kError);
  EXPECT_EQ(plug(0, 65535), kError);
  EXPECT_EQ(ask(VIRTIO_MEM_REQ_PLUG, at(0) + 4096, 1).type, kError);
  EXPECT_EQ(ask(VIRTIO_MEM_REQ_PLUG, at(0) - kBlock, 1).type, kError);
  EXPECT_EQ(ask(VIRTIO_MEM_REQ_PLUG, 0, 1).type, kError) << "RAM";
  EXPECT_EQ(ask(VIRTIO_MEM_REQ_PLUG, UINT64_MAX - kBlock + 1, 1).type, kError);
  EXPECT_EQ(unplug(0, 1), kError) << "not plugged";
  EXPECT_EQ(ask(4, at(0), 1).type, kError) << "no such request";
  EXPECT_EQ(slots(), 0U);
  EXPECT_EQ(mem_->metrics().plug_fails, 8U);
  EXPECT_EQ(mem_->metrics().unplug_fails, 1U);
  EXPECT_EQ(mem_->metrics().queue_event_fails, 1U);
}

TEST_F(MemTest, PluggedBlocksAreMemoryAndUnpluggedOnesAreNot) {
  EXPECT_EQ(plug(1, 2), kAck);
  EXPECT_EQ(plug(2, 1), kError) << "plugged already";
  ASSERT_EQ(slots(), 1U);
  const FakeSlots::Entry slot = machine_->slots.slots.begin()->second;
  EXPECT_EQ(slot.range.start, at(0));
  EXPECT_EQ(slot.range.size, 128 * kMib);
  EXPECT_FALSE(memory().find(at(0), 1));
  EXPECT_TRUE(memory().find(at(1), 2 * kBlock));
  EXPECT_FALSE(memory().find(at(1), 2 * kBlock + 1));
  ASSERT_TRUE(memory().write<std::uint64_t>(at(2), 7));
  EXPECT_EQ(slot.host[2 * kBlock], std::byte{7});
  EXPECT_EQ(mem_->status().plugged_size_mib, 4U);

  EXPECT_EQ(unplug(2, 1), kAck);
  EXPECT_FALSE(memory().find(at(2), 1));
  EXPECT_EQ(slots(), 1U);
  EXPECT_EQ(plug(2, 1), kAck);
  EXPECT_EQ(*memory().read<std::uint64_t>(at(2)), 0U) << "it was given back";
  EXPECT_EQ(mem_->metrics().unplug_discard_fails, 0U);
  EXPECT_EQ(mem_->metrics().plug_bytes, 3 * kBlock);
  EXPECT_EQ(mem_->metrics().unplug_bytes, kBlock);
}

TEST_F(MemTest, ASlotIsTheGuestsWhileItHasABlock) {
  EXPECT_EQ(plug(0, 1), kAck);
  EXPECT_EQ(plug(kSlotBlocks - 1, 2), kAck) << "across two slots";
  EXPECT_EQ(slots(), 2U);
  EXPECT_EQ(plug(3 * kSlotBlocks, 1), kAck);
  EXPECT_EQ(slots(), 3U);
  EXPECT_EQ(unplug(kSlotBlocks - 1, 2), kAck);
  EXPECT_EQ(slots(), 2U);
  EXPECT_EQ(ask(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, kAck);
  EXPECT_EQ(mem_->metrics().unplug_all_count, 1U);
  EXPECT_EQ(slots(), 0U);
  EXPECT_EQ(mem_->status().plugged_size_mib, 0U);
  EXPECT_FALSE(memory().find(at(0), 1));
  EXPECT_EQ(plug(0, 1), kAck);
}

TEST_F(MemTest, WhatIsUnpluggedCostsTheHostNothing) {
  EXPECT_EQ(plug(0, 8), kAck);
  std::byte* host = machine_->slots.slots.begin()->second.host;
  ASSERT_TRUE(memory().slice(at(0), 8 * kBlock)->zero(0, 8 * kBlock));
  EXPECT_EQ(resident(host), 8 * kBlock);
  EXPECT_EQ(unplug(0, 3), kAck);
  EXPECT_EQ(resident(host), 5 * kBlock);
  EXPECT_EQ(unplug(3, 5), kAck);
  EXPECT_EQ(resident(host), 0U);
}

TEST_F(MemTest, AHostThatKeepsWhatIsUnpluggedIsLoggedOnce) {
  EXPECT_EQ(plug(0, 4), kAck);
  std::byte* host = machine_->slots.slots.begin()->second.host;
  const mote::test::LockedPages kept(host, 2 * kBlock);
  const mote::test::LogLines log;
  EXPECT_EQ(unplug(0, 1), kAck);
  EXPECT_EQ(unplug(1, 1), kAck);
  EXPECT_EQ(unplug(2, 1), kAck) << "which goes back";
  EXPECT_EQ(mem_->metrics().unplug_discard_fails, 2U);
  EXPECT_EQ(log.count("memory-hotplug: "), 1) << log.text();
  EXPECT_FALSE(memory().find(at(0), 1)) << "it is no memory of the guest all the same";
}

// A device may have a buffer in a block when the guest unplugs it.
TEST_F(MemTest, ABufferInABlockThatGoesIsSafeToTouch) {
  EXPECT_EQ(plug(0, 1), kAck);
  const auto buffer = memory().find(at(0) + 4096, 100);
  ASSERT_TRUE(buffer);
  EXPECT_EQ(unplug(0, 1), kAck);
  EXPECT_TRUE(buffer->write<std::uint64_t>(0, 5));
  EXPECT_TRUE(buffer->read<std::uint64_t>(0));
}

TEST_F(MemTest, ReadersNeedNoLockWhileBlocksComeAndGo) {
  std::atomic<bool> done = false;
  std::thread reader([&] {
    while (!done) {
      for (std::uint64_t block = 0; block < 130; ++block) {
        static_cast<void>(memory().write<std::uint64_t>(at(block) + 64, block));
      }
    }
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(plug(0, 3), kAck);
    EXPECT_EQ(plug(kSlotBlocks, 1), kAck);
    EXPECT_EQ(unplug(0, 3), kAck);
    EXPECT_EQ(ask(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, kAck);
  }
  done = true;
  reader.join();
}

TEST_F(MemTest, TellsTheStateOfBlocks) {
  EXPECT_EQ(state(0, 4), (Answer{kAck, VIRTIO_MEM_STATE_UNPLUGGED}));
  EXPECT_EQ(plug(0, 2), kAck);
  EXPECT_EQ(state(0, 2), (Answer{kAck, VIRTIO_MEM_STATE_PLUGGED}));
  EXPECT_EQ(state(1, 2), (Answer{kAck, VIRTIO_MEM_STATE_MIXED}));
  EXPECT_EQ(state(256, 1).type, kError);
  EXPECT_EQ(mem_->metrics().state_count, 4U);
  EXPECT_EQ(mem_->metrics().state_fails, 1U);
}

TEST_F(MemTest, NoMoreIsPluggedThanIsAskedFor) {
  int changes = 0;
  int refreshes = 0;
  mem_->set_config_listener([&] { ++changes; }, [&] { ++refreshes; });
  EXPECT_TRUE(mem_->update(4));
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(plug(0, 3), kNack);
  EXPECT_EQ(plug(0, 2), kAck);
  EXPECT_EQ(changes, 1) << "the driver knows what it plugs";
  EXPECT_EQ(refreshes, 2);
  EXPECT_EQ(plug(2, 1), kNack);
  EXPECT_TRUE(mem_->update(0));
  EXPECT_EQ(unplug(0, 2), kAck);
  EXPECT_EQ(mem_->update(3).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(mem_->update(514).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(mem_->status().requested_size_mib, 0U);
  mem_->reset();
  EXPECT_EQ(mem_->update(2).error().kind(), ErrorKind::kState);
  mem_->set_config_listener(nullptr);
}

TEST_F(MemTest, AHostWithoutSlotsIsBusyAndNothingHasChanged) {
  const mote::test::LogLines log;
  EXPECT_EQ(plug(kSlotBlocks, 1), kAck);
  for (int i = 0; i < 3; ++i) {
    machine_->slots.fail_next = true;
    EXPECT_EQ(plug(kSlotBlocks - 1, 1), kBusy);
  }
  EXPECT_EQ(log.count("memory-hotplug: "), 1) << log.text();
  EXPECT_EQ(slots(), 1U);
  EXPECT_FALSE(memory().find(at(kSlotBlocks - 1), 1));
  EXPECT_EQ(plug(kSlotBlocks - 1, 1), kAck) << "tried again";
  EXPECT_EQ(mem_->status().plugged_size_mib, 4U);
  EXPECT_EQ(mem_->metrics().plug_fails, 3U);
}

TEST_F(MemTest, RequestsWithoutSenseAreCompleted) {
  driver_->chain().in("short").out(10).push();
  driver_->chain().out(10).push();
  driver_->chain().in_value(virtio_mem_req{}).out(9).push();
  driver_->chain().in_value(virtio_mem_req{}).push();
  driver_->kick();
  const auto used = driver_->ring.take_used();
  ASSERT_EQ(used.size(), 4U);
  for (const Used& element : used) EXPECT_EQ(element.length, 0U);
  EXPECT_EQ(mem_->metrics().queue_event_fails, 4U);
  EXPECT_EQ(slots(), 0U);
}

TEST_F(MemTest, OneRequestTouchesSoManySlotsAtMost) {
  // Of the 8 GiB of addresses in a test.
  build({.total_size_mib = 6144, .requested_size_mib = 6144});
  EXPECT_EQ(plug(0, 33 * kSlotBlocks), kError);
  EXPECT_EQ(plug(0, 32 * kSlotBlocks), kAck);
  EXPECT_EQ(slots(), 32U);
}

TEST_F(MemTest, GoesOnInARestoredMachine) {
  ASSERT_TRUE(mem_->update(16));
  EXPECT_EQ(plug(1, 2), kAck);
  EXPECT_EQ(plug(kSlotBlocks, 1), kAck);
  const MemState saved = mem_->save();
  ASSERT_EQ(saved.plugged.size(), 2U);
  const MemConfig config{.total_size_mib = 512, .requested_size_mib = 512};
  TestServices other;
  {
    const auto restored = Mem::restore(config, other.get(), saved);
    ASSERT_TRUE(restored) << restored.error().text();
    EXPECT_EQ((*restored)->status().plugged_size_mib, 6U);
    EXPECT_EQ((*restored)->status().requested_size_mib, 16U);
    EXPECT_EQ(other.slots.slots.size(), 2U);
    EXPECT_TRUE(other.memory.find(at(1), 2 * kBlock));
    EXPECT_FALSE(other.memory.find(at(3), 1));
    EXPECT_TRUE((*restored)->update(4)) << "its driver is still there";
  }
  const auto refused = [&](const MemConfig& with, auto spoil) {
    TestServices fresh;
    MemState bad = saved;
    spoil(bad);
    return !Mem::restore(with, fresh.get(), bad);
  };
  EXPECT_FALSE(refused(config, [](MemState&) {})) << "the good one is good";
  EXPECT_TRUE(refused({.total_size_mib = 1024}, [](MemState&) {}));
  EXPECT_TRUE(refused(config, [](MemState& s) { s.plugged[1].first = 256; }));
  EXPECT_TRUE(refused(config, [](MemState& s) { s.plugged[1].first = 2; })) << "twice";
  EXPECT_TRUE(refused(config, [](MemState& s) { s.plugged[0].count = UINT64_MAX; }));
  EXPECT_TRUE(refused(config, [](MemState& s) { s.plugged[0].count = 0; }));
  EXPECT_TRUE(refused(config, [](MemState& s) { s.start = 0; }));
  EXPECT_TRUE(refused(config, [](MemState& s) { s.requested_size_mib = 3; }));
}

TEST_F(MemTest, IsRefusedWithSharedMemoryAndWithoutAddresses) {
  auto shared = memory::GuestMemory::create(
      {.ranges = {{.start = 0, .size = kMib}}, .backing = memory::Backing::kMemfd});
  FakeSlots slots;
  memory::AddressSpace space(*shared, device_window, slots);
  const auto made = Mem::create({.total_size_mib = 128},
                                {.loop = *machine_->loop, .memory = *shared, .space = space});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(Mem::create({.total_size_mib = 1 << 20}, machine_->get()).error().kind(),
            ErrorKind::kResource);
}

}  // namespace
}  // namespace mote::virtio::test

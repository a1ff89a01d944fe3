// A balloon over guest memory whose residence the host tells, and the driver's side of its queues.
#pragma once

#include <gtest/gtest.h>
#include <linux/virtio_balloon.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "virtio/balloon/device.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {

inline constexpr std::uint64_t kMib = 1 << 20;
inline constexpr std::uint64_t kPage = 4096;
// Where the guest's pages are that the tests give up: far from rings and buffers.
inline constexpr std::uint64_t kPages = 256 * kMib;
inline constexpr std::uint32_t kFirst = kPages / kPage;

// The queues of a driver that takes every feature.
enum Index : std::uint16_t { kInflate, kDeflate, kStatistics, kHinting, kReporting };

constexpr std::uint64_t bit(unsigned feature) { return std::uint64_t{1} << feature; }
inline constexpr std::uint64_t kAll = bit(VIRTIO_BALLOON_F_STATS_VQ) |
                                      bit(VIRTIO_BALLOON_F_FREE_PAGE_HINT) |
                                      bit(VIRTIO_BALLOON_F_REPORTING);
inline const BalloonConfig kConfig{.amount_mib = 64,
                                   .deflate_on_oom = true,
                                   .stats_polling_interval_s = 1,
                                   .free_page_hinting = true,
                                   .free_page_reporting = true};

// A queue of the device, with the driver's side of it.
struct BalloonLine {
  FakeHost host;
  TestRing ring;
  explicit BalloonLine(const memory::GuestMemory& memory, std::uint16_t index,
                       std::uint64_t features)
      : ring(memory, 16, 0x10000 + index * 16 * kMib, kRingFeatures | features) {}
};

class BalloonTest : public ::testing::Test {
 protected:
  BalloonTest() { build(kConfig); }
  ~BalloonTest() override { stop(); }

  void build(const BalloonConfig& config) {
    auto made = Balloon::create(config, machine_.get());
    ASSERT_TRUE(made) << made.error().text();
    balloon_ = std::move(*made);
    changes_ = 0;
    balloon_->set_config_listener([this] { ++changes_; });
  }
  // A driver that takes `features` and starts `count` queues.
  void start(std::uint64_t features = kAll, std::uint16_t count = 5) {
    for (std::uint16_t i = 0; i < count; ++i) {
      lines_.push_back(std::make_unique<BalloonLine>(machine_.memory, i, features));
      give(i);
    }
  }
  void give(std::uint16_t index) {
    BalloonLine& line = *lines_[index];
    auto queue = Queue::create({.memory = &machine_.memory,
                                .host = &line.host,
                                .index = index,
                                .max_size = 16,
                                .features = line.ring.features()},
                               line.ring.addresses());
    ASSERT_TRUE(queue) << queue.error().text();
    const auto started = balloon_->start(index, std::move(*queue));
    ASSERT_TRUE(started) << started.error().text();
  }
  void stop() {
    for (std::uint16_t i = 0; i < lines_.size(); ++i) {
      const auto queue = balloon_->stop(i);
      if (queue) EXPECT_EQ(queue->forgotten(), 0U);
      EXPECT_TRUE(lines_[i]->ring.gaps_intact());
    }
    lines_.clear();
  }
  TestRing& ring(std::uint16_t index) { return lines_[index]->ring; }
  // Kicks, and again for as long as the device asks for it; how often that was.
  int kick(std::uint16_t index) {
    const int before = lines_[index]->host.agains;
    int asked = 0;
    do {
      asked = lines_[index]->host.agains;
      balloon_->kick(index);
    } while (lines_[index]->host.agains != asked);
    return asked - before;
  }
  void inflate(const std::vector<std::uint32_t>& pages) {
    ring(kInflate)
        .chain()
        .in({reinterpret_cast<const char*>(pages.data()), pages.size() * sizeof pages[0]})
        .push();
    kick(kInflate);
    ASSERT_EQ(ring(kInflate).take_used().size(), 1U);
  }
  // Writes all of the range, as a guest would that uses it.
  void use(std::uint64_t address, std::uint64_t size) {
    const std::vector<std::byte> bytes(size, std::byte{7});
    ASSERT_TRUE(machine_.memory.write(address, bytes));
  }
  std::uint64_t resident(std::uint64_t address, std::uint64_t size) {
    std::vector<unsigned char> pages(size / kPage);
    const auto slice = machine_.memory.slice(address, size);
    EXPECT_EQ(::mincore(slice->lend_for_reading().iov_base, size, pages.data()), 0);
    return static_cast<std::uint64_t>(
               std::ranges::count_if(pages, [](unsigned char page) { return page & 1; })) *
           kPage;
  }
  // A range of the guest's memory as a buffer of a chain that is all there is to it.
  void send_range(std::uint16_t index, std::uint64_t address, std::uint32_t length) {
    ring(index).put(15, {.address = address, .length = length, .flags = VRING_DESC_F_WRITE});
    ring(index).offer(15);
    kick(index);
    const auto used = ring(index).take_used();
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0], (Used{15, 0}));
  }
  void send_command(std::uint32_t command) {
    ring(kHinting).chain().in_value(command).push();
    kick(kHinting);
    ASSERT_EQ(ring(kHinting).take_used().size(), 1U);
  }
  virtio_balloon_config read_config() {
    virtio_balloon_config config{};
    balloon_->read_config(0, std::as_writable_bytes(std::span(&config, 1)));
    return config;
  }
  void run_loop(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      ASSERT_TRUE(machine_.loop->run_once(10));
    }
  }

  TestServices machine_;
  std::unique_ptr<Balloon> balloon_;
  std::vector<std::unique_ptr<BalloonLine>> lines_;
  int changes_ = 0;
};

}  // namespace mote::virtio::test

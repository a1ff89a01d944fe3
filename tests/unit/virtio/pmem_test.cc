// Persistent memory over a file that syncs when it is told, and over one of the host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>

#include "log_lines.h"
#include "storage/temp_file.h"
#include "virtio/fake_file.h"
#include "virtio/pmem/device.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kPiece = storage::FileMemory::kAlignment;
const std::string kOk(4, '\0');
const std::string kFailed("\1\0\0\0", 4);

class PmemTest : public ::testing::Test {
 protected:
  void build(bool read_only = false) {
    auto file = std::make_unique<FakeFile>(2, read_only);
    file_ = file.get();
    auto made = Pmem::over("pmem 'test'", std::move(file), machine_.get(), nullptr);
    ASSERT_TRUE(made) << made.error().text();
    pmem_ = std::move(*made);
    driver_ = std::make_unique<TestDriver>(*pmem_, 64);
  }
  std::uint16_t push_flush(std::uint32_t type = VIRTIO_PMEM_REQ_TYPE_FLUSH) {
    return driver_->chain().in_value(virtio_pmem_req{.type = type}).out(4).push();
  }
  void TearDown() override { driver_.reset(); }

  TestServices machine_;
  FakeFile* file_ = nullptr;
  std::unique_ptr<Pmem> pmem_;
  std::unique_ptr<TestDriver> driver_;
};

TEST_F(PmemTest, IsMemoryOfTheGuestAboveRam) {
  build();
  EXPECT_EQ(pmem_->traits().type, std::uint32_t{VIRTIO_ID_PMEM});
  virtio_pmem_config config{};
  pmem_->read_config(0, std::as_writable_bytes(std::span(&config, 1)));
  EXPECT_EQ(config.start, device_window()[0].start);
  EXPECT_EQ(config.size, 2 * kPiece);
  ASSERT_EQ(machine_.slots.slots.size(), 1U);
  const FakeSlots::Entry& slot = machine_.slots.slots.begin()->second;
  EXPECT_EQ(slot.range.start, config.start);
  EXPECT_EQ(slot.range.size, config.size);
  EXPECT_EQ(slot.access, memory::Access::kWrite);
  // Other devices find it, as the guest may have them read and write there.
  ASSERT_TRUE(machine_.memory.write<std::uint32_t>(config.start + 8, 77));
  EXPECT_EQ(slot.host[8], std::byte{77});
  EXPECT_FALSE(machine_.memory.discard(*machine_.memory.slice(config.start, kPiece)));
  driver_.reset();
  pmem_.reset();
  EXPECT_TRUE(machine_.slots.slots.empty());
  EXPECT_EQ(machine_.slots.misuses, 0);
}

TEST_F(PmemTest, ReadOnlyIsSoForTheGuestAndForDevices) {
  build(true);
  EXPECT_EQ(machine_.slots.slots.begin()->second.access, memory::Access::kRead);
  EXPECT_FALSE(machine_.memory.write<std::uint8_t>(pmem_->range().start, 1));
  EXPECT_TRUE(machine_.memory.find(pmem_->range().start, kPiece, memory::Access::kRead));
  const auto head = push_flush();
  driver_->kick();
  EXPECT_EQ(driver_->used(), (Used{head, 4}));
  EXPECT_EQ(driver_->ring.written(head), kOk);
  EXPECT_EQ(file_->syncs, 0) << "there is nothing to sync";
}

TEST_F(PmemTest, AFlushIsAnsweredWhenTheFileIsSynced) {
  build();
  file_->defer = true;
  const auto head = push_flush();
  driver_->kick();
  EXPECT_TRUE(driver_->ring.take_used().empty());
  file_->complete();
  EXPECT_EQ(driver_->used(), (Used{head, 4}));
  EXPECT_EQ(driver_->ring.written(head), kOk);
  EXPECT_EQ(driver_->host.interrupts, 1);
}

TEST_F(PmemTest, OneSyncServesAllThatWaitWhenItBegins) {
  build();
  file_->defer = true;
  push_flush();
  driver_->kick();
  push_flush();
  push_flush();
  driver_->kick();
  EXPECT_EQ(file_->syncs, 1);
  file_->complete();
  EXPECT_EQ(driver_->ring.take_used().size(), 1U) << "the others came after it began";
  EXPECT_EQ(file_->syncs, 2);
  file_->complete();
  EXPECT_EQ(driver_->ring.take_used().size(), 2U);
  EXPECT_EQ(file_->syncs, 2);
  EXPECT_EQ(pmem_->metrics().flush_count, 3U);
}

TEST_F(PmemTest, AHostThatFailsIsToldToTheDriverAndCounted) {
  build();
  const mote::test::LogLines log;
  for (int i = 0; i < 3; ++i) {
    file_->fail_next = true;
    const auto failed = push_flush();
    driver_->kick();
    EXPECT_EQ(driver_->used().head, failed);
    EXPECT_EQ(driver_->ring.written(failed), kFailed);
  }
  EXPECT_EQ(pmem_->metrics().flush_fails, 3U);
  EXPECT_EQ(log.count("\n"), 1) << log.text();
  const auto good = push_flush();
  driver_->kick();
  EXPECT_EQ(driver_->used().head, good);
  EXPECT_EQ(driver_->ring.written(good), kOk);
}

TEST_F(PmemTest, BadRequestsAreAnsweredAndSyncNothing) {
  build();
  const auto unknown = push_flush(1);
  driver_->kick();
  EXPECT_EQ(driver_->used().head, unknown);
  EXPECT_EQ(driver_->ring.written(unknown), kFailed);
  driver_->chain().in("abc").out(4).push();
  driver_->chain().out(4).push();
  driver_->chain().in_value(virtio_pmem_req{.type = 0}).push();
  driver_->chain().in_value(virtio_pmem_req{.type = 0}).out(3).push();
  driver_->kick();
  EXPECT_EQ(driver_->ring.take_used().size(), 4U);
  EXPECT_EQ(pmem_->metrics().event_fails, 5U);
  EXPECT_EQ(file_->syncs, 0);
}

TEST_F(PmemTest, StopWaitsForFlushes) {
  build();
  file_->defer = true;
  push_flush();
  driver_->kick();
  push_flush();
  driver_->kick();
  const auto queue = pmem_->stop(0);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  EXPECT_EQ(queue->forgotten(), 0U);
  EXPECT_EQ(driver_->ring.take_used().size(), 2U);
  pmem_->kick(0);
  EXPECT_FALSE(pmem_->stop(0));
}

TEST_F(PmemTest, AFlushCostsOneOperationAndTheFilesBytes) {
  build();
  // Bytes for two flushes, and nothing more for ever.
  ASSERT_TRUE(pmem_->limit(
      {.bandwidth = TokenBucketConfig{.size = 2 * file_->file_size(), .refill_time = 1'000'000'000},
       .ops = TokenBucketConfig{.size = 3, .refill_time = 1'000'000'000}}));
  for (int i = 0; i < 4; ++i) push_flush();
  driver_->kick();
  EXPECT_EQ(driver_->ring.take_used().size(), 2U);
  EXPECT_EQ(pmem_->metrics().rate_limiter_throttled_events, 1U);
  ASSERT_TRUE(pmem_->limit({.bandwidth = TokenBucketConfig{.size = 0, .refill_time = 0}}));
  EXPECT_EQ(driver_->ring.take_used().size(), 1U) << "one operation is left";
  EXPECT_GE(pmem_->metrics().rate_limiter_event_count, 1U);
}

TEST_F(PmemTest, GoesOnAtTheSameAddressInARestoredMachine) {
  build();
  TestServices other;
  const PmemState state = pmem_->save();
  const auto restored = Pmem::over("p", std::make_unique<FakeFile>(2), other.get(), &state);
  ASSERT_TRUE(restored) << restored.error().text();
  EXPECT_EQ((*restored)->range().start, pmem_->range().start);
  EXPECT_THAT(Pmem::over("p", std::make_unique<FakeFile>(2), other.get(), &state).error().text(),
              HasSubstr("taken"));
  TestServices third;
  EXPECT_FALSE(Pmem::over("p", std::make_unique<FakeFile>(3), third.get(), &state)) << "grown";
  EXPECT_FALSE(Pmem::over("p", std::make_unique<FakeFile>(2, true), third.get(), &state));
  PmemState longer = state;
  ++longer.file_size;
  EXPECT_THAT(Pmem::over("p", std::make_unique<FakeFile>(2), third.get(), &longer).error().text(),
              HasSubstr("saved with a file of"))
      << "cut within its last piece";
  PmemState astray = state;
  astray.start = 0;
  EXPECT_FALSE(Pmem::over("p", std::make_unique<FakeFile>(2), third.get(), &astray));
  PmemState of_before = state;
  of_before.file_size = 0;
  EXPECT_TRUE(Pmem::over("p", std::make_unique<FakeFile>(2), third.get(), &of_before));
}

TEST_F(PmemTest, IsRefusedWhereTheHostHasNoSlot) {
  machine_.slots.fail_next = true;
  EXPECT_FALSE(Pmem::over("p", std::make_unique<FakeFile>(), machine_.get(), nullptr));
}

// One file, two guests: what the one writes the other reads, as both have the host's page cache.
TEST(PmemOverAFile, IsSharedByAllWhoHaveIt) {
  storage::test::TempFile file(std::string(3 << 20, 'f'));
  TestServices first;
  TestServices second;
  const auto one = Pmem::create({.id = "a", .path_on_host = file.path()}, first.get());
  ASSERT_TRUE(one) << one.error().text();
  const auto two =
      Pmem::create({.id = "b", .path_on_host = file.path(), .read_only = true}, second.get());
  ASSERT_TRUE(two) << two.error().text();
  EXPECT_EQ((*one)->range().size, 4U << 20);
  ASSERT_TRUE(first.memory.write<std::uint32_t>((*one)->range().start + 4096, 0x1234));
  std::uint32_t seen = 0;
  ASSERT_TRUE(second.memory.slice((*two)->range().start + 4096, 4, memory::Access::kRead)
                  ->read(0, std::as_writable_bytes(std::span(&seen, 1))));
  EXPECT_EQ(seen, 0x1234U);
}

TEST(PmemOverAFile, SaysWhichDeviceIsWrong) {
  TestServices machine;
  const auto none = Pmem::create({.id = "a", .path_on_host = "/no/such/file"}, machine.get());
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().text(), testing::StartsWith("pmem 'a': "));
  EXPECT_THAT(none.error().text(), HasSubstr("/no/such/file"));
}

}  // namespace
}  // namespace mote::virtio::test

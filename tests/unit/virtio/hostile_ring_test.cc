// The queue with drivers that lie: each lie is an error value, told to the host once; the queue
// yields nothing more, and nothing else happens.
#include <gtest/gtest.h>

#include <functional>

#include "virtio/queue/queue.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint16_t kNext = VRING_DESC_F_NEXT;
constexpr std::uint16_t kWrite = VRING_DESC_F_WRITE;
constexpr std::uint16_t kIndirect = VRING_DESC_F_INDIRECT;
constexpr std::uint16_t kSize = 8;
constexpr std::uint64_t kBuffer = 64 << 20;  // in guest memory, far from the rings
constexpr std::uint64_t kTable = 65 << 20;
constexpr std::uint64_t kNoIndirect = kRingFeatures & ~(std::uint64_t{1} << 28);

struct Lie {
  const char* name;
  std::function<void(TestRing&)> tell;
  const char* complaint;
  std::uint64_t features = kRingFeatures;
};

void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

// Offers descriptor 0, which refers to an indirect table of `entries` descriptors.
void offer_table(TestRing& ring, std::initializer_list<Descriptor> entries,
                 std::uint16_t flags = kIndirect) {
  std::uint16_t i = 0;
  for (const Descriptor& entry : entries) ring.put_at(kTable, i++, entry);
  ring.put(0, {.address = kTable,
               .length = static_cast<std::uint32_t>(entries.size() * sizeof(vring_desc)),
               .flags = flags,
               .next = 1});
  ring.offer(0);
}

void offer_one(TestRing& ring, const Descriptor& descriptor) {
  ring.put(0, descriptor);
  ring.offer(0);
}

const std::vector<Lie> kLies{
    {"AvailableIndexFarAhead", [](TestRing& ring) { ring.set_available_index(kSize + 1); },
     "ahead"},
    {"AvailableIndexBehind", [](TestRing& ring) { ring.set_available_index(0xffff); }, "ahead"},
    {"HeadOutsideTheTable", [](TestRing& ring) { ring.offer(kSize); }, "descriptor 8 of 8"},
    {"HeadFarOutsideTheTable", [](TestRing& ring) { ring.offer(0xffff); }, "descriptor 65535"},
    {"NextOutsideTheTable", [](TestRing& ring) { offer_one(ring, {kBuffer, 1, kNext, kSize}); },
     "descriptor 8 of 8"},
    {"DescriptorFollowsItself", [](TestRing& ring) { offer_one(ring, {kBuffer, 1, kNext, 0}); },
     "does not end"},
    {"LoopOfTwo",
     [](TestRing& ring) {
       ring.put(1, {kBuffer, 1, kNext, 0});
       offer_one(ring, {kBuffer, 1, kNext, 1});
     },
     "does not end"},
    {"LoopOfEmptyBuffers", [](TestRing& ring) { offer_one(ring, {kBuffer, 0, kNext, 0}); },
     "does not end"},
    {"ReadableBehindWritable",
     [](TestRing& ring) {
       ring.put(1, {kBuffer, 1, 0, 0});
       offer_one(ring, {kBuffer, 1, kWrite | kNext, 1});
     },
     "behind one to write"},
    {"BufferInTheGap", [](TestRing& ring) { offer_one(ring, {kLowEnd, 1, 0, 0}); },
     "not in guest memory"},
    {"BufferAcrossTheEndOfMemory",
     [](TestRing& ring) { offer_one(ring, {kHighEnd - 8, 9, kWrite, 0}); }, "not in guest memory"},
    {"BufferAcrossTheGap",
     [](TestRing& ring) { offer_one(ring, {kLowEnd - 4096, 0xc0000000, kWrite, 0}); },
     "not in guest memory"},
    {"AddressAndLengthOverflow",
     [](TestRing& ring) { offer_one(ring, {UINT64_MAX - 8, 16, kWrite, 0}); },
     "not in guest memory"},
    {"LengthOf4GiBLessOne",
     [](TestRing& ring) { offer_one(ring, {kBuffer, UINT32_MAX, kWrite, 0}); },
     "not in guest memory"},
    {"ChainOfMoreThan4GiB",
     [](TestRing& ring) {
       for (std::uint16_t i = 0; i < 5; ++i) {
         ring.put(i, {0, static_cast<std::uint32_t>(kLowEnd), i < 4 ? kNext : std::uint16_t{0},
                      static_cast<std::uint16_t>(i + 1)});
       }
       ring.offer(0);
     },
     "more than 4294967296 bytes"},
    {"IndirectNotNegotiated", [](TestRing& ring) { offer_table(ring, {{kBuffer, 1, 0, 0}}); },
     "not negotiated", kNoIndirect},
    {"IndirectTableEmpty", [](TestRing& ring) { offer_one(ring, {kTable, 0, kIndirect, 0}); },
     "table of 0 bytes"},
    {"IndirectTableOfHalfADescriptor",
     [](TestRing& ring) { offer_one(ring, {kTable, 24, kIndirect, 0}); }, "table of 24 bytes"},
    {"IndirectTableOutsideMemory",
     [](TestRing& ring) { offer_one(ring, {kLowEnd - 16, 32, kIndirect, 0}); },
     "not in guest memory"},
    {"IndirectTableOf4GiB",
     [](TestRing& ring) { offer_one(ring, {kTable, 0xfffffff0, kIndirect, 0}); },
     "not in guest memory"},
    {"IndirectTableWithANextOne",
     [](TestRing& ring) { offer_table(ring, {{kBuffer, 1, 0, 0}}, kIndirect | kNext); },
     "another behind it"},
    {"IndirectInsideIndirect",
     [](TestRing& ring) { offer_table(ring, {{kTable, 16, kIndirect, 0}}); },
     "inside an indirect table"},
    {"IndirectLoop", [](TestRing& ring) { offer_table(ring, {{kBuffer, 1, kNext, 0}}); },
     "does not end"},
    {"IndirectNextOutsideItsTable",
     [](TestRing& ring) { offer_table(ring, {{kBuffer, 1, kNext, 1}}); }, "descriptor 1 of 1"},
    {"IndirectWrongOrder",
     [](TestRing& ring) {
       offer_table(ring, {{kBuffer, 1, kWrite | kNext, 1}, {kBuffer, 1, 0, 0}});
     },
     "behind one to write"},
    {"IndirectBufferOutsideMemory",
     [](TestRing& ring) { offer_table(ring, {{kHighEnd, 1, 0, 0}}); }, "not in guest memory"},
    {"IndirectTableBehindAWritableHoldsAReadable",
     [](TestRing& ring) {
       ring.put_at(kTable, 0, {kBuffer, 1, 0, 0});
       ring.put(1, {kTable, 16, kIndirect, 0});
       offer_one(ring, {kBuffer, 1, kWrite | kNext, 1});
     },
     "behind one to write"},
    {"IndirectChainOfThousands",
     [](TestRing& ring) {
       for (std::uint16_t i = 0; i < 2000; ++i) {
         ring.put_at(kTable, i, {kBuffer, 1, kNext, static_cast<std::uint16_t>(i + 1)});
       }
       offer_one(ring, {kTable, 2000 * 16, kIndirect, 0});
     },
     "after 1024 descriptors"},
};

class HostileRing : public ::testing::TestWithParam<Lie> {};

TEST_P(HostileRing, IsAnErrorToldOnce) {
  const memory::GuestMemory memory = make_memory();
  TestRing ring(memory, kSize, 0x10000, GetParam().features);
  FakeHost host;
  auto queue = Queue::create(
      {.memory = &memory, .host = &host, .max_size = kSize, .features = ring.features()},
      ring.addresses());
  ASSERT_TRUE(queue);
  GetParam().tell(ring);
  const auto chain = queue->next();
  ASSERT_FALSE(chain);
  EXPECT_EQ(chain.error().kind(), ErrorKind::kGuest);
  EXPECT_NE(chain.error().text().find(GetParam().complaint), std::string::npos)
      << chain.error().text();
  EXPECT_TRUE(queue->broken());
  EXPECT_EQ(host.breaks, 1);
  EXPECT_EQ(queue->in_flight(), 0U);

  // Nothing more comes of it.
  const auto again = queue->next();
  ASSERT_TRUE(again);
  EXPECT_FALSE(*again);
  EXPECT_FALSE(queue->enable_notifications());
  queue->flush();
  EXPECT_EQ(host.breaks, 1);
  EXPECT_EQ(host.interrupts, 0);
  EXPECT_EQ(ring.used_index(), 0);
  EXPECT_TRUE(ring.gaps_intact());
}

INSTANTIATE_TEST_SUITE_P(Lies, HostileRing, ::testing::ValuesIn(kLies),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(HostileRings, DescriptorsInFlightCannotBeOfferedAgain) {
  const memory::GuestMemory memory = make_memory();
  TestRing ring(memory, 4);
  FakeHost host;
  auto queue =
      Queue::create({.memory = &memory, .host = &host, .max_size = 4, .features = kRingFeatures},
                    ring.addresses());
  ASSERT_TRUE(queue);
  ring.put(0, {kBuffer, 1, 0, 0});
  std::vector<Chain> held;
  for (int i = 0; i < 4; ++i) {
    ring.offer(0);
    auto chain = queue->next();
    ASSERT_TRUE(chain && *chain);
    held.push_back(std::move(**chain));
  }
  ring.offer(0);
  EXPECT_FALSE(queue->next()) << "a fifth chain from four descriptors";
  EXPECT_EQ(host.breaks, 1);
}

TEST(HostileRings, AChainThatIsAllowedAtItsLimits) {
  const memory::GuestMemory memory = make_memory();
  TestRing ring(memory, 4);
  FakeHost host;
  auto queue =
      Queue::create({.memory = &memory, .host = &host, .max_size = 4, .features = kRingFeatures},
                    ring.addresses());
  ASSERT_TRUE(queue);
  // Exactly 4 GiB, by all descriptors, up to the last byte of memory below the gap.
  for (std::uint16_t i = 0; i < 4; ++i) {
    ring.put(i, {0, static_cast<std::uint32_t>(kLowEnd), i < 3 ? kNext : std::uint16_t{0},
                 static_cast<std::uint16_t>(i + 1)});
  }
  ring.offer(0);
  // 1024 buffers by a table, with the write flag on the table, which means nothing there.
  for (std::uint16_t i = 0; i < 1024; ++i) {
    ring.put_at(kTable, i,
                {kBuffer, 1, static_cast<std::uint16_t>(i < 1023 ? kNext : 0),
                 static_cast<std::uint16_t>(i + 1)});
  }
  auto chain = queue->next();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->in().left(), std::uint64_t{1} << 32);
  std::move(**chain).complete();
  queue->flush();
  ring.put(0, {kTable, 1024 * 16, kIndirect | kWrite, 0});
  ring.offer(0);
  chain = queue->next();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->in().left(), 1024U);
  EXPECT_EQ((*chain)->out().left(), 0U);
  // A table that is not aligned, behind an ordinary descriptor.
  ring.put_at(kTable + 3, 0, {kBuffer, 5, kWrite, 0});
  ring.put(1, {kBuffer, 2, kNext, 2});
  ring.put(2, {kTable + 3, 16, kIndirect, 0});
  ring.offer(1);
  chain = queue->next();
  ASSERT_TRUE(chain && *chain);
  EXPECT_EQ((*chain)->in().left(), 2U);
  EXPECT_EQ((*chain)->out().left(), 5U);
}

// What the driver says of the rings' places is checked before any is touched.
struct BadPlace {
  const char* name;
  QueueAddresses addresses;
  const char* complaint;
};

void PrintTo(const BadPlace& place, std::ostream* out) { *out << place.name; }

constexpr QueueAddresses kGood{
    .size = 8, .descriptors = 0x1000, .driver = 0x2000, .device = 0x3000};

QueueAddresses but(auto change) {
  QueueAddresses addresses = kGood;
  change(addresses);
  return addresses;
}

class QueuePlace : public ::testing::TestWithParam<BadPlace> {};

TEST_P(QueuePlace, IsRefused) {
  const memory::GuestMemory memory = make_memory();
  FakeHost host;
  const QueueContext context{
      .memory = &memory, .host = &host, .index = 2, .max_size = 256, .features = kRingFeatures};
  ASSERT_TRUE(Queue::create(context, kGood));
  const auto queue = Queue::create(context, GetParam().addresses);
  ASSERT_FALSE(queue);
  EXPECT_EQ(queue.error().kind(), ErrorKind::kGuest);
  EXPECT_NE(queue.error().text().find("queue 2"), std::string::npos);
  EXPECT_NE(queue.error().text().find(GetParam().complaint), std::string::npos)
      << queue.error().text();
}

INSTANTIATE_TEST_SUITE_P(
    Places, QueuePlace,
    ::testing::Values(
        BadPlace{"SizeZero", but([](auto& a) { a.size = 0; }), "size 0"},
        BadPlace{"SizeThree", but([](auto& a) { a.size = 3; }), "size 3"},
        BadPlace{"SizeAboveTheDevices", but([](auto& a) { a.size = 512; }), "size 512"},
        BadPlace{"SizeThatFitsOnlyCutShort", but([](auto& a) { a.size = 0x10008; }), "size 65544"},
        BadPlace{"SizeHuge", but([](auto& a) { a.size = 0x80000000; }), "size 2147483648"},
        BadPlace{"TableUnaligned", but([](auto& a) { a.descriptors += 8; }), "aligned to 16"},
        BadPlace{"AvailableUnaligned", but([](auto& a) { a.driver += 1; }), "aligned to 2"},
        BadPlace{"UsedUnaligned", but([](auto& a) { a.device += 2; }), "aligned to 4"},
        BadPlace{"TableInTheGap", but([](auto& a) { a.descriptors = kLowEnd; }),
                 "descriptor table"},
        BadPlace{"TableAcrossTheEnd", but([](auto& a) { a.descriptors = kLowEnd - 64; }),
                 "descriptor table"},
        BadPlace{"AvailableAcrossTheEnd", but([](auto& a) { a.driver = kHighEnd - 20; }),
                 "available ring"},
        BadPlace{"UsedAcrossTheEnd", but([](auto& a) { a.device = kHighEnd - 68; }), "used ring"},
        BadPlace{"UsedAtTheTopOfTheAddressSpace", but([](auto& a) { a.device = UINT64_MAX - 3; }),
                 "used ring"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(QueuePlaces, TheLargestQueueWorks) {
  const memory::GuestMemory memory = make_memory();
  FakeHost host;
  const QueueContext context{
      .memory = &memory, .host = &host, .max_size = 65536, .features = kRingFeatures};
  TestRing ring(memory, 32768);
  auto queue = Queue::create(context, ring.addresses());
  ASSERT_TRUE(queue);
  ring.chain().in("x").push();
  auto chain = queue->next();
  EXPECT_TRUE(chain && *chain);
  QueueAddresses larger = ring.addresses();
  larger.size = 65536;
  EXPECT_FALSE(Queue::create(context, larger));
}

}  // namespace
}  // namespace mote::virtio::test

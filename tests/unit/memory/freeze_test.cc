// Frozen guest memory: those that share it see what it was, whatever its owner and the others write
// later, and freezing again keeps what was written and nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "memory/backing.h"
#include "memory/guest_memory.h"

namespace mote::memory {
namespace {

constexpr std::uint64_t kMib = 1 << 20;

MemoryConfig two_ranges() {
  return {.ranges = {{.start = 0, .size = 6 * kMib}, {.start = 64 * kMib, .size = 3 * kMib}},
          .backing = Backing::kMemfd,
          .freezable = true};
}

GuestMemory make() {
  auto memory = GuestMemory::create(two_ranges());
  EXPECT_TRUE(memory) << memory.error().text();
  return std::move(*memory);
}

GuestMemory child_of(const GuestMemory& memory) {
  auto child = GuestMemory::map_layers(two_ranges(), memory.layers());
  EXPECT_TRUE(child) << child.error().text();
  return std::move(*child);
}

std::string contents(const GuestMemory& memory) {
  std::string all;
  for (const Range& range : memory.config().ranges) {
    std::string part(range.size, '\0');
    EXPECT_TRUE(memory.read(range.start, std::as_writable_bytes(std::span(part))));
    all += part;
  }
  return all;
}

void put(const GuestMemory& memory, GuestAddress at, std::uint32_t value) {
  ASSERT_TRUE(memory.write(at, value));
}
std::uint32_t get(const GuestMemory& memory, GuestAddress at) {
  return memory.read<std::uint32_t>(at).value_or(0xdead);
}

TEST(Freeze, AChildSeesThatMomentAndNobodySeesAnothersWrites) {
  GuestMemory parent = make();
  put(parent, 0x1000, 1);
  put(parent, 65 * kMib, 2);
  const auto copied = parent.freeze();
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(*copied, 0U);
  const GuestMemory one = child_of(parent);
  const GuestMemory other = child_of(parent);
  EXPECT_EQ(contents(one), contents(parent));
  put(parent, 0x1000, 10);
  put(parent, 3 * kMib, 11);
  put(one, 65 * kMib, 20);
  EXPECT_EQ(get(one, 0x1000), 1U);
  EXPECT_EQ(get(one, 3 * kMib), 0U);
  EXPECT_EQ(get(other, 0x1000), 1U);
  EXPECT_EQ(get(other, 65 * kMib), 2U);
  EXPECT_EQ(get(parent, 65 * kMib), 2U);
}

// What was found before may be more than what is there, and less.
TEST(Freeze, WhatIsTouchedAfterThePreparationIsFrozenToo) {
  GuestMemory parent = make();
  for (const std::uint64_t at : {0U, 2U, 5U}) put(parent, at * kMib, 1);
  parent.prepare_freeze();
  put(parent, kMib, 2);
  put(parent, 2 * kMib + 512 * 1024, 3);
  put(parent, 64 * kMib, 4);
  put(parent, 67 * kMib - 4, 5);
  EXPECT_EQ(*parent.discard(*parent.slice(5 * kMib, 64 * 1024)), 64U * 1024);
  const std::string before = contents(parent);
  ASSERT_TRUE(parent.freeze());
  EXPECT_EQ(contents(parent), before);
  const GuestMemory child = child_of(parent);
  EXPECT_EQ(contents(child), before);
  EXPECT_EQ(get(child, 67 * kMib - 4), 5U);
  parent.prepare_freeze();
  EXPECT_EQ(contents(parent), before);
}

// A thousand islands would be a thousand mappings, in the parent and each child.
TEST(Freeze, WhatIsTouchedHereAndThereIsFewParts) {
  auto memory = GuestMemory::create({.ranges = {{.start = 0, .size = 2048 * kMib}},
                                     .backing = Backing::kMemfd,
                                     .freezable = true});
  ASSERT_TRUE(memory) << memory.error().text();
  for (std::uint64_t at = 0; at < 2048 * kMib; at += 2 * kMib) put(*memory, at, 9);
  ASSERT_TRUE(memory->freeze());
  EXPECT_LE(memory->layers().extents.size(), 256U);
  EXPECT_EQ(get(*memory, 2046 * kMib), 9U);
}

TEST(Freeze, WhatWasPutAsideIsTakenDownBitByBit) {
  GuestMemory parent = make();
  for (GuestAddress at = 0; at < 6 * kMib; at += kPageSize) put(parent, at, 7);
  put(parent, 65 * kMib, 2);
  const std::string before = contents(parent);
  EXPECT_FALSE(parent.drop_aside({}));
  ASSERT_TRUE(parent.freeze());
  EXPECT_TRUE(parent.drop_aside({})) << "nothing was put aside: the kernel cannot";
  put(parent, kMib, 8);
  int turns = 0;
  while (parent.drop_aside(std::chrono::nanoseconds(1))) ++turns;
  EXPECT_GE(turns, 8);  // a MiB each
  EXPECT_EQ(get(parent, kMib), 8U);
  put(parent, kMib, 7);
  EXPECT_EQ(contents(parent), before);
  EXPECT_EQ(contents(child_of(parent)), before);
}

TEST(Freeze, ALaterOneCopiesWhatWasWrittenSince) {
  GuestMemory parent = make();
  for (GuestAddress at = 0; at < 4 * kMib; at += kPageSize) put(parent, at, 7);
  ASSERT_TRUE(parent.freeze());
  put(parent, kMib, 8);
  put(parent, 66 * kMib, 9);
  const GuestMemory early = child_of(parent);
  const auto copied = parent.freeze();
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(*copied, 2 * 64U * 1024);
  EXPECT_EQ(parent.layers().files.size(), 2U);
  EXPECT_EQ(get(parent, kMib), 8U);
  EXPECT_EQ(get(early, kMib), 7U);
  const GuestMemory late = child_of(parent);
  EXPECT_EQ(contents(late), contents(parent));
  // Nothing was written, so nothing is made.
  EXPECT_EQ(*parent.freeze(), 0U);
  EXPECT_EQ(parent.layers().files.size(), 2U);
}

// As in a jail, where nothing tells which pages are this process's own.
TEST(Freeze, WithoutAPageTableMemoryIsComparedWithItsLayers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user whose page table is root's";
  GuestMemory parent = make();
  for (GuestAddress at = 0; at < 4 * kMib; at += kPageSize) put(parent, at, 7);
  ASSERT_TRUE(parent.freeze());
  put(parent, kMib, 8);
  put(parent, 66 * kMib, 9);
  put(parent, 2 * kMib, 7);  // the same again
  static_cast<void>(*parent.discard(*parent.slice(3 * kMib, 64 * 1024)));
  // It makes the process one that cannot be looked into, too.
  ASSERT_EQ(::seteuid(65534), 0);
  const bool hidden = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC) < 0;
  const auto copied = parent.freeze();
  ASSERT_EQ(::seteuid(0), 0);
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  EXPECT_TRUE(hidden);
  ASSERT_TRUE(copied) << copied.error().text();
  EXPECT_EQ(*copied, 2 * 64U * 1024);
  EXPECT_EQ(contents(child_of(parent)), contents(parent));
  EXPECT_EQ(get(parent, 3 * kMib), 0U);
}

TEST(Freeze, AForkOfAForkHasBoth) {
  GuestMemory parent = make();
  put(parent, 0, 1);
  ASSERT_TRUE(parent.freeze());
  GuestMemory child = child_of(parent);
  put(child, 2 * kMib, 2);
  ASSERT_TRUE(child.freeze());
  const GuestMemory grandchild = child_of(child);
  EXPECT_EQ(get(grandchild, 0), 1U);
  EXPECT_EQ(get(grandchild, 2 * kMib), 2U);
  EXPECT_EQ(contents(grandchild), contents(child));
  EXPECT_EQ(get(parent, 2 * kMib), 0U);
}

TEST(Freeze, WhatTheGuestGaveBackIsZerosInTheNextChild) {
  GuestMemory parent = make();
  put(parent, kMib, 5);
  put(parent, kMib + kPageSize, 6);
  ASSERT_TRUE(parent.freeze());
  const auto page = parent.slice(kMib, kPageSize);
  EXPECT_EQ(*parent.discard(*page), kPageSize);
  EXPECT_EQ(get(parent, kMib), 0U);
  ASSERT_TRUE(parent.freeze());
  const GuestMemory child = child_of(parent);
  EXPECT_EQ(get(child, kMib), 0U);
  EXPECT_EQ(get(child, kMib + kPageSize), 6U);
  // A whole piece of zeros is in no layer.
  const auto piece = parent.slice(kMib, 64 * 1024);
  EXPECT_EQ(*parent.discard(*piece), 64U * 1024);
  EXPECT_EQ(*parent.freeze(), 0U);
  EXPECT_EQ(contents(child_of(parent)), contents(parent));
  EXPECT_EQ(get(parent, kMib + kPageSize), 0U);
}

TEST(Freeze, LayersDoNotGrowWithoutEnd) {
  GuestMemory parent = make();
  put(parent, 5 * kMib, 1);
  for (std::uint32_t i = 1; i < 3 * kMaxLayers; ++i) {
    put(parent, i * kPageSize, i);
    ASSERT_TRUE(parent.freeze());
    ASSERT_LE(parent.layers().files.size(), kMaxLayers);
  }
  const GuestMemory child = child_of(parent);
  EXPECT_EQ(contents(child), contents(parent));
  EXPECT_EQ(get(child, 5 * kMib), 1U);
}

TEST(Freeze, RandomWritesAndFreezesKeepEveryByte) {
  std::mt19937 random(20);
  GuestMemory parent = make();
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t at = random() % (9 * kMib / 4) * 4;
      put(parent, at < 6 * kMib ? at : at + 58 * kMib, static_cast<std::uint32_t>(random()));
    }
    if (random() % 3 == 0) {
      static_cast<void>(*parent.discard(*parent.slice(random() % 64 * kPageSize, 16 * kPageSize)));
    }
    const std::string before = contents(parent);
    ASSERT_TRUE(parent.freeze());
    ASSERT_EQ(contents(parent), before);
    GuestMemory child = child_of(parent);
    ASSERT_EQ(contents(child), before);
    if (round % 5 == 0) parent = std::move(child);
  }
}

TEST(Freeze, WhatWasNeverTouchedTakesNothing) {
  GuestMemory parent = make();
  put(parent, 0, 1);
  ASSERT_TRUE(parent.freeze());
  struct stat facts{};
  ASSERT_EQ(::fstat(parent.layers().files.front()->get(), &facts), 0);
  const auto blocks = facts.st_blocks;
  GuestMemory child = child_of(parent);
  static_cast<void>(contents(child));
  put(child, 5 * kMib, 1);
  ASSERT_EQ(::fstat(parent.layers().files.front()->get(), &facts), 0);
  // Of the block that the page is in, the zeros around it.
  EXPECT_LE(facts.st_blocks - blocks, 256 * 1024 / 512);
}

TEST(Freeze, ALayerCannotBeChangedAnyMore) {
  GuestMemory parent = make();
  put(parent, 0, 1);
  ASSERT_TRUE(parent.freeze());
  const int fd = parent.layers().files.front()->get();
  EXPECT_LT(::pwrite(fd, "x", 1, 0), 0);
  EXPECT_LT(::ftruncate(fd, 0), 0);
  EXPECT_LT(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPageSize), 0);
  EXPECT_EQ(::mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

TEST(Freeze, MemoryOfAnotherKindIsRefused) {
  for (const Backing backing : {Backing::kAnonymous, Backing::kMemfd}) {
    MemoryConfig config = two_ranges();
    config.backing = backing;
    config.freezable = false;
    auto memory = GuestMemory::create(config);
    ASSERT_TRUE(memory);
    const auto frozen = memory->freeze();
    ASSERT_FALSE(frozen);
    EXPECT_EQ(frozen.error().kind(), ErrorKind::kUnsupported);
  }
}

TEST(Freeze, ANamedPlaceIsWhereMemoryGoes) {
  GuestMemory parent = make();
  put(parent, kMib, 3);
  ASSERT_TRUE(parent.freeze());
  std::vector<std::byte*> places;
  std::vector<MappedMemory> rooms;
  for (const Range& range : two_ranges().ranges) {
    auto room = MappedMemory::map_aligned(range.size, 2 * kMib, PROT_NONE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    places.push_back(room->data());
    rooms.push_back(std::move(*room));
  }
  rooms.clear();
  {
    const auto child = GuestMemory::map_layers(two_ranges(), parent.layers(), places);
    ASSERT_TRUE(child) << child.error().text();
    EXPECT_EQ(child->regions()[1].host_address, reinterpret_cast<std::uintptr_t>(places[1]));
    EXPECT_EQ(contents(*child), contents(parent));
  }
  // Where something is, nothing is mapped over it.
  const auto there = MappedMemory::map(kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
  places[0] = there->data();
  EXPECT_FALSE(GuestMemory::map_layers(two_ranges(), parent.layers(), std::span(places).first(1)));
}

// Layers as another process brings them
// ------------------------------------------------------------------------------------------------

class Hostile : public testing::Test {
 protected:
  static std::shared_ptr<const UniqueFd> layer(std::uint64_t size, int seals) {
    UniqueFd fd = std::move(*make_memfd(size, true));
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    return std::make_shared<const UniqueFd>(std::move(fd));
  }
  static std::string refusal(std::vector<Extent> extents,
                             std::shared_ptr<const UniqueFd> file = layer(9 * kMib, kSealed)) {
    const auto mapped = GuestMemory::map_layers(
        two_ranges(), {.files = {std::move(file)}, .extents = std::move(extents)});
    return mapped ? "" : mapped.error().text();
  }
  static constexpr int kSealed = F_SEAL_SHRINK | F_SEAL_WRITE;
};

TEST_F(Hostile, ExtentsMustBeInOrderAndInside) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  const std::vector<std::vector<Extent>> bad{
      {{0, 0, 0}},
      {{0, 9 * kMib + kPageSize, 0}},
      {{9 * kMib, kPageSize, 0}},
      {{kMax - kPageSize + 1, kPageSize, 0}},
      {{kPageSize, kMax - kPageSize + 1, 0}},
      {{1, kPageSize, 0}},
      {{0, kPageSize + 1, 0}},
      {{0, kPageSize, 1}},
      {{0, kPageSize, kNoLayer}},
      {{kPageSize, kPageSize, 0}, {0, kPageSize, 0}},
      {{0, 2 * kPageSize, 0}, {kPageSize, kPageSize, 0}},
      std::vector<Extent>(kMaxExtents + 1, Extent{0, kPageSize, 0}),
  };
  for (const auto& extents : bad) EXPECT_NE(refusal(extents), "") << extents.size();
  EXPECT_EQ(refusal({{0, 9 * kMib, 0}}), "");
  EXPECT_EQ(refusal({{0, kPageSize, 0}, {kPageSize, kPageSize, 0}}), "");
  EXPECT_EQ(refusal({}), "");
}

TEST_F(Hostile, FilesMustBeLongAndStaySo) {
  const std::vector<Extent> all{{0, 9 * kMib, 0}};
  EXPECT_NE(refusal(all, layer(8 * kMib, kSealed)), "");
  EXPECT_NE(refusal(all, layer(9 * kMib, 0)), "");
  EXPECT_NE(refusal(all, layer(9 * kMib, F_SEAL_WRITE)), "");
  EXPECT_NE(refusal(all, layer(9 * kMib, F_SEAL_SHRINK)), "");
  // One that takes no seals is a file like those on a disk: a snapshot's in a tmpfs.
  EXPECT_EQ(refusal(all, layer(9 * kMib, F_SEAL_SEAL)), "");
  EXPECT_NE(refusal(all, std::make_shared<const UniqueFd>(::open("/dev/zero", O_RDWR))), "");
  EXPECT_NE(refusal(all, std::make_shared<const UniqueFd>(::open("/", O_RDONLY))), "");
  const Layers many{.files = std::vector(kMaxLayers + 1, layer(9 * kMib, kSealed)), .extents = {}};
  EXPECT_FALSE(GuestMemory::map_layers(two_ranges(), many));
}

}  // namespace
}  // namespace mote::memory

// Guest memory to a file and back: what is zero is a hole, and what is over a file is private.
#include "snapshot/memory_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"
#include "temp_dir.h"

namespace mote::snapshot {
namespace {

using memory::GuestMemory;
using memory::kPageSize;

constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kHigh = std::uint64_t{4} << 30;

memory::MemoryConfig config() {
  return {
      .ranges = {{.start = 0, .size = 6 * kMib + kPageSize}, {.start = kHigh, .size = 3 * kMib}}};
}

// A machine's memory with something on a few pages, and where.
struct Written {
  GuestMemory memory = *GuestMemory::create(config());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> values = {
      {0x1000, 1}, {0x2ff8, 2}, {2 * kMib - 8, 3}, {6 * kMib, 4}, {kHigh + 3 * kMib - 8, 5}};
  Written() {
    for (const auto& [address, value] : values) EXPECT_TRUE(memory.write(address, value));
    // Touched, and zero.
    EXPECT_TRUE(memory.write(5 * kMib, std::uint64_t{1}));
    EXPECT_TRUE(memory.write(5 * kMib, std::uint64_t{0}));
  }
};

UniqueFd open(const std::string& path) { return *open_file(path, O_RDWR | O_CREAT, 0600); }

struct stat facts_of(const UniqueFd& fd) {
  struct stat facts{};
  EXPECT_EQ(::fstat(fd.get(), &facts), 0);
  return facts;
}

TEST(MemoryFile, HasWhatIsNotZeroAndHolesForTheRest) {
  const test::TempDir dir;
  const Written written;
  const UniqueFd fd = open(dir / "m");
  ASSERT_TRUE(write_memory(written.memory, fd.get()));
  const auto facts = facts_of(fd);
  EXPECT_EQ(static_cast<std::uint64_t>(facts.st_size), 9 * kMib + kPageSize);
  EXPECT_EQ(size_of(parts_of(written.memory)), 9 * kMib + kPageSize);
  // Five pages; the file system may round up.
  EXPECT_LE(facts.st_blocks * 512, 5 * 65536);
  for (const auto& [address, value] : written.values) {
    const std::uint64_t offset = address < kHigh ? address : address - kHigh + 6 * kMib + kPageSize;
    std::uint64_t found = 0;
    EXPECT_EQ(*read_at(fd.get(), std::as_writable_bytes(std::span(&found, 1)), offset), 8U);
    EXPECT_EQ(found, value) << std::hex << address;
  }
}

TEST(MemoryFile, TouchesNothingThatTheGuestHasNot) {
  const test::TempDir dir;
  const Written written;
  const auto resident = [&] {
    const memory::RegionView region = written.memory.regions().front();
    std::vector<unsigned char> pages(region.range.size / kPageSize);
    EXPECT_EQ(
        ::mincore(reinterpret_cast<void*>(region.host_address), region.range.size, pages.data()),
        0);
    return std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; });
  };
  const auto before = resident();
  ASSERT_TRUE(write_memory(written.memory, open(dir / "m").get()));
  // With swap nobody can tell, and all of it is looked at.
  if (resident() != before) GTEST_SKIP() << "this host swaps";
}

TEST(MemoryFile, IsMemoryAgainAndPrivate) {
  const test::TempDir dir;
  const Written written;
  const UniqueFd fd = open(dir / "m");
  ASSERT_TRUE(write_memory(written.memory, fd.get()));
  auto one = GuestMemory::map_file(config(), fd.get());
  const auto other = GuestMemory::map_file(config(), fd.get());
  ASSERT_TRUE(one && other);
  for (const auto& [address, value] : written.values) {
    EXPECT_EQ(*one->read<std::uint64_t>(address), value) << std::hex << address;
  }
  ASSERT_TRUE(one->write(0x1000, std::uint64_t{77}));
  EXPECT_EQ(*other->read<std::uint64_t>(0x1000), 1U);
  // And to a file again, from there.
  const UniqueFd again = open(dir / "again");
  ASSERT_TRUE(write_memory(*one, again.get()));
  const auto back = GuestMemory::map_file(config(), again.get());
  EXPECT_EQ(*back->read<std::uint64_t>(0x1000), 77U);
  EXPECT_EQ(*back->read<std::uint64_t>(kHigh + 3 * kMib - 8), 5U);
}

// What is given back is zero, and not what the file has there.
TEST(MemoryFile, GivesPagesBackAsZeros) {
  const test::TempDir dir;
  const Written written;
  const UniqueFd fd = open(dir / "m");
  ASSERT_TRUE(write_memory(written.memory, fd.get()));
  const auto memory = GuestMemory::map_file(config(), fd.get());
  ASSERT_TRUE(memory);
  ASSERT_TRUE(memory->write(0x1000, std::uint64_t{9}));
  EXPECT_EQ(*memory->discard(*memory->slice(0x1000, 2 * kPageSize)), 2 * kPageSize);
  EXPECT_EQ(*memory->read<std::uint64_t>(0x1000), 0U);
  EXPECT_EQ(*memory->read<std::uint64_t>(0x2ff8), 0U);
  EXPECT_EQ(*memory->read<std::uint64_t>(2 * kMib - 8), 3U);
  ASSERT_TRUE(memory->write(0x1000, std::uint64_t{10}));
  EXPECT_EQ(*memory->read<std::uint64_t>(0x1000), 10U);
}

std::string content_of(const UniqueFd& fd) {
  std::string text(static_cast<std::size_t>(facts_of(fd).st_size), '\0');
  EXPECT_EQ(*read_at(fd.get(), std::as_writable_bytes(std::span(text)), 0), text.size());
  return text;
}

// A chain of changes over one whole file is what a whole file would be at the end.
TEST(MemoryFile, ChangesLaidOverTheFileOfBeforeAreTheWhole) {
  const test::TempDir dir;
  memory::MemoryConfig tracked = config();
  tracked.track_dirty_pages = true;
  const auto memory = *GuestMemory::create(tracked);
  ASSERT_TRUE(memory.write(0x1000, std::uint64_t{1}));
  ASSERT_TRUE(memory.write(3 * kMib, std::uint64_t{1}));
  ASSERT_TRUE(memory.write(4 * kMib, std::uint64_t{1}));
  const UniqueFd base = open(dir / "base");
  ASSERT_TRUE(write_memory(memory, base.get()));
  memory.clear_dirty();

  for (int round = 0; round < 10; ++round) {
    // Written, written with zeros, and given back.
    ASSERT_TRUE(memory.write(kHigh + 8 * static_cast<std::uint64_t>(round) * kPageSize,
                             std::uint64_t{7} + static_cast<std::uint64_t>(round)));
    if (round == 3) ASSERT_TRUE(memory.write(3 * kMib, std::uint64_t{0}));
    if (round == 5) ASSERT_TRUE(memory.discard(*memory.slice(4 * kMib, kPageSize)));
    // As KVM notes it.
    const std::uint64_t words[] = {0, std::uint64_t{1} << 2};
    std::uint64_t value = 5;
    const auto page = memory.slice(66 * kPageSize, 8)->lend_for_reading();
    std::memcpy(page.iov_base, &value, sizeof value);
    if (round == 7) memory.merge_dirty(0, words);

    const UniqueFd diff = open(dir / fmt::format("diff{}", round));
    ASSERT_TRUE(write_changes(memory, diff.get()));
    EXPECT_LE(facts_of(diff).st_blocks * 512, 3 * 65536);
    memory.clear_dirty();
    ASSERT_TRUE(lay_over(diff.get(), base.get()));
  }
  const UniqueFd whole = open(dir / "whole");
  ASSERT_TRUE(write_memory(memory, whole.get()));
  EXPECT_TRUE(content_of(base) == content_of(whole));
}

TEST(MemoryFile, UntrackedChangesAreWhatIsThisProcesssOwn) {
  const test::TempDir dir;
  const Written written;
  const UniqueFd fd = open(dir / "m");
  ASSERT_TRUE(write_memory(written.memory, fd.get()));
  const auto memory = GuestMemory::map_file(config(), fd.get());
  ASSERT_TRUE(memory);
  // Read alone is the file's still.
  EXPECT_EQ(*memory->read<std::uint64_t>(6 * kMib), 4U);
  ASSERT_TRUE(memory->write(0x1000, std::uint64_t{0}));
  ASSERT_TRUE(memory->write(5 * kMib + 8, std::uint64_t{6}));
  const UniqueFd diff = open(dir / "diff");
  ASSERT_TRUE(write_changes(*memory, diff.get()));
  EXPECT_LE(facts_of(diff).st_blocks * 512, 2 * 65536);
  const UniqueFd both = open(dir / "both");
  ASSERT_TRUE(copy_file(fd.get(), both.get()));
  EXPECT_TRUE(content_of(both) == content_of(fd));
  EXPECT_EQ(facts_of(both).st_blocks, facts_of(fd).st_blocks);
  ASSERT_TRUE(lay_over(diff.get(), both.get()));
  const UniqueFd whole = open(dir / "whole");
  ASSERT_TRUE(write_memory(*memory, whole.get()));
  EXPECT_TRUE(content_of(both) == content_of(whole));
}

TEST(MemoryFile, AFullDiskIsAnError) {
  const Written written;
  const UniqueFd full = *open_file("/dev/full", O_RDWR);
  EXPECT_FALSE(write_memory(written.memory, full.get()));
}

}  // namespace
}  // namespace mote::snapshot

#include "base/mapped_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "temp_dir.h"

namespace mote {
namespace {

constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;

// mincore(2) refuses addresses that nothing is mapped at.
bool is_mapped(const void* address) {
  unsigned char resident = 0;
  return ::mincore(const_cast<void*>(address), 1, &resident) == 0;
}

TEST(MappedMemory, MapsAndUnmaps) {
  const std::byte* address = nullptr;
  {
    const auto memory = MappedMemory::map(8192, PROT_READ | PROT_WRITE, kPrivate);
    ASSERT_TRUE(memory) << memory.error().text();
    EXPECT_EQ(memory->size(), 8192U);
    memory->bytes()[8191] = std::byte{1};
    address = memory->data();
    EXPECT_TRUE(is_mapped(address));
  }
  EXPECT_FALSE(is_mapped(address));
}

TEST(MappedMemory, IsCutShort) {
  auto memory = *MappedMemory::map(3 * 4096, PROT_READ | PROT_WRITE, kPrivate);
  const std::byte* address = memory.data();
  memory.truncate(4 * 4096);
  EXPECT_EQ(memory.size(), 3 * 4096U);
  memory.truncate(4096);
  EXPECT_EQ(memory.size(), 4096U);
  EXPECT_TRUE(is_mapped(address));
  EXPECT_FALSE(is_mapped(address + 4096));
  memory.truncate(0);
  EXPECT_FALSE(is_mapped(address));
  EXPECT_EQ(memory.data(), nullptr);
}

TEST(MappedMemory, MovesWithoutUnmapping) {
  auto first = *MappedMemory::map(4096, PROT_READ | PROT_WRITE, kPrivate);
  std::byte* address = first.data();
  MappedMemory second = std::move(first);
  EXPECT_EQ(second.data(), address);
  EXPECT_TRUE(is_mapped(address));
  MappedMemory third;
  third = std::move(second);
  EXPECT_EQ(third.data(), address);
  EXPECT_TRUE(is_mapped(address));
  third = MappedMemory();
  EXPECT_EQ(third.data(), nullptr);
  EXPECT_FALSE(is_mapped(address));
}

TEST(MappedMemory, MapsAFileFromAnOffset) {
  const test::TempDir dir;
  const UniqueFd file =
      *open_file(dir.write("f", std::string(4096, 'a') + std::string(4096, 'b')), O_RDONLY);
  const auto memory = MappedMemory::map(4096, PROT_READ, MAP_PRIVATE, file.get(), 4096);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->bytes().front(), std::byte{'b'});
}

TEST(MappedMemory, AlignsAndGivesTheRestBack) {
  constexpr std::size_t kAlignment = 2 << 20;
  for (const std::size_t size : {std::size_t{4096}, kAlignment, kAlignment + 4096}) {
    const auto memory =
        MappedMemory::map_aligned(size, kAlignment, PROT_READ | PROT_WRITE, kPrivate);
    ASSERT_TRUE(memory) << memory.error().text();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->data()) % kAlignment, 0U);
    EXPECT_EQ(memory->size(), size);
    memory->bytes().front() = std::byte{1};
    memory->bytes().back() = std::byte{1};
  }
}

TEST(MappedMemory, SaysWhatTheHostRefuses) {
  EXPECT_FALSE(MappedMemory::map(0, PROT_READ, kPrivate));
  EXPECT_FALSE(MappedMemory::map(std::size_t{1} << 62, PROT_READ, kPrivate));
  EXPECT_FALSE(MappedMemory::map(4096, PROT_READ, MAP_PRIVATE, -1));
  EXPECT_FALSE(MappedMemory::map_aligned(4096, 2 << 20, PROT_READ, MAP_PRIVATE, -1));
  EXPECT_FALSE(MappedMemory::map_aligned(SIZE_MAX, 2 << 20, PROT_READ, kPrivate));
  EXPECT_FALSE(MappedMemory::map_aligned(std::size_t{1} << 62, 2 << 20, PROT_READ, kPrivate));
}

}  // namespace
}  // namespace mote

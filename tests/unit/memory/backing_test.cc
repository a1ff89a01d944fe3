// Where guest memory comes from, as the kernel tells it back.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "memory/guest_memory.h"
#include "smaps.h"

namespace mote::memory {
namespace {

using test::vm_flags;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kMib = 1 << 20;
constexpr const char* kPool = "/proc/sys/vm/nr_hugepages";

GuestMemory make(const MemoryConfig& config) {
  auto memory = GuestMemory::create(config);
  EXPECT_TRUE(memory) << memory.error().text();
  return std::move(*memory);
}

TEST(AnonymousMemory, IsPrivateAndWithoutHugePages) {
  const GuestMemory memory = make({.ranges = {{0, 4 * kMib}}});
  const std::string flags = vm_flags(memory.regions()[0].host_address);
  if (flags.empty()) GTEST_SKIP() << "this host has no /proc/self/smaps";
  EXPECT_THAT(flags, Not(HasSubstr(" sh ")));
  EXPECT_THAT(flags, HasSubstr(" dd "));
  if (::access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  EXPECT_THAT(flags, HasSubstr(" nh "));
}

TEST(AnonymousMemory, AdvisesTransparentHugePagesWhenAsked) {
  if (::access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  const GuestMemory memory = make({.ranges = {{0, 4 * kMib}}, .transparent_huge_pages = true});
  const std::string flags = vm_flags(memory.regions()[0].host_address);
  EXPECT_THAT(flags, HasSubstr(" hg "));
  EXPECT_THAT(flags, Not(HasSubstr(" nh ")));
}

TEST(AnonymousMemory, PrefersHugePagesForWholeBlocksAlone) {
  if (::access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  const GuestMemory memory = make({.ranges = {{0, 16 * kMib}}});
  const auto flags = [host = memory.regions()[0].host_address](std::uint64_t mib) {
    return vm_flags(host + mib * kMib);
  };
  memory.prefer_huge_pages(3 * kMib, 2 * kMib);   // no block is whole
  memory.prefer_huge_pages(0, 2 * kMib - 1);      // nor is this one
  memory.prefer_huge_pages(15 * kMib, 2 * kMib);  // not all of it is memory
  for (std::uint64_t mib = 0; mib < 16; mib += 2) EXPECT_THAT(flags(mib), HasSubstr(" nh "));
  memory.prefer_huge_pages(5 * kMib, 6 * kMib);
  EXPECT_THAT(flags(4), HasSubstr(" nh "));
  EXPECT_THAT(flags(6), HasSubstr(" hg "));
  EXPECT_THAT(flags(9), HasSubstr(" hg "));
  EXPECT_THAT(flags(9), HasSubstr(" dd "));
  EXPECT_THAT(flags(10), HasSubstr(" nh "));
}

TEST(Memfd, IsLeftAsTheHostHasIt) {
  const GuestMemory memory = make({.ranges = {{0, 8 * kMib}}, .backing = Backing::kMemfd});
  memory.prefer_huge_pages(0, 8 * kMib);
  EXPECT_THAT(vm_flags(memory.regions()[0].host_address), Not(HasSubstr(" hg ")));
}

// A page of 2 MiB can be mapped only where guest and host addresses agree in their low bits.
TEST(AnonymousMemory, IsAlignedForHugePages) {
  const GuestMemory memory = make({.ranges = {{0, 4096}, {2 * kMib, 4 * kMib}}});
  for (const RegionView& region : memory.regions()) EXPECT_EQ(region.host_address % (2 * kMib), 0U);
}

// Creating costs addresses, not memory.
TEST(AnonymousMemory, TouchesNothing) {
  const GuestMemory memory = make({.ranges = {{0, 64 * kMib}}});
  std::vector<unsigned char> resident(64 * kMib / kPageSize);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is told as KVM takes it
  ASSERT_EQ(::mincore(reinterpret_cast<void*>(memory.regions()[0].host_address), 64 * kMib,
                      resident.data()),
            0);
  EXPECT_EQ(std::ranges::count(resident, 0), static_cast<std::ptrdiff_t>(resident.size()));
}

TEST(Memfd, SharesEachRegionAtItsOffset) {
  const GuestMemory memory =
      make({.ranges = {{0, kMib}, {16 * kMib, 2 * kMib}}, .backing = Backing::kMemfd});
  const std::vector<RegionView> regions = memory.regions();
  EXPECT_EQ(regions[0].file_offset, 0U);
  EXPECT_EQ(regions[1].file_offset, kMib);
  EXPECT_EQ(regions[0].fd, regions[1].fd);
  ASSERT_GE(regions[0].fd, 0);
  EXPECT_EQ(::fcntl(regions[0].fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(::lseek(regions[0].fd, 0, SEEK_END), static_cast<off_t>(3 * kMib));
  ASSERT_TRUE(memory.write<std::uint64_t>(16 * kMib + 8, 0x1122334455667788));
  std::uint64_t seen = 0;
  ASSERT_EQ(::pread(regions[1].fd, &seen, sizeof seen, static_cast<off_t>(kMib + 8)), 8);
  EXPECT_EQ(seen, 0x1122334455667788U);
}

long read_pool() {
  long pages = -1;
  std::ifstream(kPool) >> pages;
  return pages;
}

bool set_pool(long pages) {
  std::ofstream file(kPool);
  file << pages << std::flush;
  return file.good();
}

// Two more huge pages in the host's pool than it had, for one test.
class HugePool : public testing::Test {
 protected:
  void SetUp() override {
    before_ = read_pool();
    if (before_ < 0) GTEST_SKIP() << "this kernel has no hugetlb pages";
    std::ifstream info("/proc/meminfo");
    std::stringstream text;
    text << info.rdbuf();
    if (text.str().find("Hugepagesize:       2048 kB") == std::string::npos) {
      GTEST_SKIP() << "this host's huge pages do not have 2 MiB";
    }
    if (!set_pool(before_ + 2)) {
      before_ = -1;
      GTEST_SKIP() << kPool << " cannot be written: not root";
    }
    if (read_pool() < before_ + 2) GTEST_SKIP() << "this host has no 4 MiB of contiguous memory";
  }
  void TearDown() override {
    if (before_ >= 0) set_pool(before_);
  }
  long before_ = -1;
};

TEST_F(HugePool, BacksGuestMemory) {
  const GuestMemory memory = make({.ranges = {{0, 4 * kMib}}, .backing = Backing::kHugetlb2M});
  EXPECT_THAT(vm_flags(memory.regions()[0].host_address), HasSubstr(" ht "));
  ASSERT_TRUE(memory.write<std::uint8_t>(0, 1));
  ASSERT_TRUE(memory.write<std::uint8_t>(4 * kMib - 1, 2));
  EXPECT_EQ(*memory.read<std::uint8_t>(4 * kMib - 1), 2);
}

TEST(SmallHugePool, IsNamedInTheError) {
  if (read_pool() < 0) GTEST_SKIP() << "this kernel has no hugetlb pages";
  const auto memory = GuestMemory::create(
      {.ranges = {{0, std::uint64_t{1} << 40}}, .backing = Backing::kHugetlb2M});
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().kind(), ErrorKind::kResource);
  EXPECT_THAT(memory.error().text(), HasSubstr(kPool));
}

}  // namespace
}  // namespace mote::memory

#include "arch/x86_64/placement.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "arch/support.h"

namespace mote::arch {
namespace {

using memory::Range;

constexpr std::uint64_t kRam = 128 * kTestMiB;

class HugePagesForLinux : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0) {
      GTEST_SKIP() << "this kernel has no transparent huge pages";
    }
  }
  // The blocks of 2 MiB that were asked for, in MiB.
  static std::vector<std::uint64_t> huge(const memory::GuestMemory& memory) {
    std::vector<std::uint64_t> found;
    for (std::uint64_t mib = 0; mib < memory.total_size() / kTestMiB; mib += 2) {
      if (prefers_huge_pages(memory, mib * kTestMiB)) found.push_back(mib);
    }
    return found;
  }
  static std::vector<Range> kernel(std::uint64_t size) {
    return {{.start = 16 * kTestMiB, .size = kTestMiB}, {.start = 18 * kTestMiB, .size = size}};
  }
};

TEST_F(HugePagesForLinux, LieBehindTheKernelAndWhereTheMapOfMemoryIs) {
  const auto memory = make_memory(kRam);
  prepare_for_linux(memory, kernel(5 * kTestMiB), {});
  // The kernel ends at 23 MiB; the map is 2 MiB, and what follows it as much.
  EXPECT_EQ(huge(memory), (std::vector<std::uint64_t>{24, 26, 28, 30, 32, 34, 36, 122, 124}));
}

TEST_F(HugePagesForLinux, LieBelowAnInitrd) {
  const auto memory = make_memory(kRam);
  prepare_for_linux(memory, kernel(5 * kTestMiB), {.start = kRam - 9 * kTestMiB, .size = 4096});
  EXPECT_EQ(huge(memory), (std::vector<std::uint64_t>{24, 26, 28, 30, 32, 34, 36, 114, 116}));
}

TEST_F(HugePagesForLinux, StayWithinMemoryThatIsSmall) {
  const auto memory = make_memory(26 * kTestMiB);
  prepare_for_linux(memory, kernel(4 * kTestMiB), {});
  // Behind the kernel to the end of RAM, and as much of the map's place as is below the last block.
  EXPECT_EQ(huge(memory), (std::vector<std::uint64_t>{20, 22, 24}));
}

TEST_F(HugePagesForLinux, AreNotForAKernelTooSmallToBeLinux) {
  const auto memory = make_memory(kRam);
  prepare_for_linux(memory, kernel(4096), {});
  EXPECT_EQ(huge(memory), std::vector<std::uint64_t>());
}

}  // namespace
}  // namespace mote::arch

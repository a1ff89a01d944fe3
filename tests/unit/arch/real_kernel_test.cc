// Kernels as they are built: a vmlinux and a bzImage from the directory of shared files, where
// there is one.

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "arch/support.h"
#include "arch/x86_64/kernel.h"

namespace mote::arch {
namespace {

std::filesystem::path shared_directory() {
  const char* named = std::getenv("MOTE_SHARED");
  return named != nullptr ? std::filesystem::path(named)
                          : std::filesystem::path(MOTE_SOURCE_DIR) / ".." / "shared";
}

class RealKernel : public testing::Test {
 protected:
  UniqueFd open_kernel(const char* name) {
    const std::filesystem::path path = shared_directory() / "kernel" / name;
    auto file = open_file(path.string(), O_RDONLY);
    return file ? std::move(*file) : UniqueFd();
  }
};

TEST_F(RealKernel, VmlinuxHasBothEntries) {
  const UniqueFd file = open_kernel("vmlinux");
  if (!file) GTEST_SKIP() << "no kernel/vmlinux in MOTE_SHARED or ../shared";
  for (const auto choice : {BootProtocolChoice::kPvh, BootProtocolChoice::kLinux64}) {
    const auto memory = make_memory(128 * kTestMiB);
    const auto kernel = load_kernel(memory, file.get(), choice);
    ASSERT_TRUE(kernel) << error_of(kernel);
    EXPECT_EQ(kernel->protocol == BootProtocol::kPvh, choice == BootProtocolChoice::kPvh);
    EXPECT_GE(kernel->entry, kTestMiB);
    EXPECT_NE(read_guest(memory, kernel->entry, 16), Bytes(16));
  }
}

TEST_F(RealKernel, BzImageHasA64BitEntry) {
  const UniqueFd file = open_kernel("bzImage");
  if (!file) GTEST_SKIP() << "no kernel/bzImage in MOTE_SHARED or ../shared";
  const auto memory = make_memory(128 * kTestMiB);
  const auto kernel = load_kernel(memory, file.get(), BootProtocolChoice::kAuto);
  ASSERT_TRUE(kernel) << error_of(kernel);
  EXPECT_EQ(kernel->protocol, BootProtocol::kLinux64);
  ASSERT_TRUE(kernel->header);
  EXPECT_NE(read_guest(memory, kernel->entry, 16), Bytes(16));
}

TEST_F(RealKernel, NeedsRoom) {
  for (const char* name : {"vmlinux", "bzImage"}) {
    const UniqueFd file = open_kernel(name);
    if (!file) GTEST_SKIP() << "no kernel/" << name << " in MOTE_SHARED or ../shared";
    const auto kernel =
        load_kernel(make_memory(16 * kTestMiB), file.get(), BootProtocolChoice::kAuto);
    EXPECT_NE(error_of(kernel).find("more memory"), std::string::npos) << error_of(kernel);
  }
}

}  // namespace
}  // namespace mote::arch

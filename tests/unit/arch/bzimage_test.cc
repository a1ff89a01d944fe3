#include "arch/x86_64/bzimage.h"

#include <gtest/gtest.h>

#include <functional>

#include "arch/support.h"

namespace mote::arch {
namespace {

constexpr std::size_t kKernelSize = 4096;

setup_header good_header() {
  setup_header header{};
  header.setup_sects = 1;
  header.syssize = kKernelSize / 16;
  header.boot_flag = 0xaa55;
  header.jump = 0x66eb;  // its second byte is the length of the header behind the magic's offset
  header.header = 0x53726448;
  header.version = 0x020f;
  header.loadflags = LOADED_HIGH;
  header.xloadflags = XLF_KERNEL_64;
  header.kernel_alignment = 0x200000;
  header.relocatable_kernel = 1;
  header.pref_address = 0x1000000;
  header.init_size = 0x100000;
  header.cmdline_size = 2047;
  header.initrd_addr_max = 0x7fffffff;
  return header;
}

// Two sectors of set-up, then a kernel of bytes 0x90.
Bytes make_bzimage(const setup_header& header) {
  Bytes file(1024);
  std::memcpy(file.data() + kSetupHeaderOffset, &header, sizeof header);
  file.resize(1024 + kKernelSize, 0x90);
  return file;
}

Result<LoadedKernel> load(const memory::GuestMemory& memory, const Bytes& content,
                          BootProtocolChoice choice = BootProtocolChoice::kAuto) {
  return load_kernel(memory, make_file(content).get(), choice);
}

TEST(BzImage, IsLoadedWhereItPrefers) {
  const auto memory = make_memory(32 * kTestMiB);
  const auto kernel = load(memory, make_bzimage(good_header()));
  ASSERT_TRUE(kernel) << error_of(kernel);
  EXPECT_EQ(kernel->protocol, BootProtocol::kLinux64);
  EXPECT_EQ(kernel->entry, 0x1000200U);
  ASSERT_EQ(kernel->ranges.size(), 1U);
  EXPECT_EQ(kernel->ranges[0].start, 0x1000000U);
  EXPECT_EQ(kernel->ranges[0].size, 0x100000U);
  ASSERT_TRUE(kernel->header);
  EXPECT_EQ(+kernel->header->version, 0x020f);
  EXPECT_EQ(read_guest(memory, 0x1000000, kKernelSize), Bytes(kKernelSize, 0x90));
  EXPECT_EQ(touched_pages(memory), 1U);
}

TEST(BzImage, PlaceIsAlignedAsItWants) {
  setup_header header = good_header();
  header.pref_address = 0x1000001;
  const auto kernel = load(make_memory(32 * kTestMiB), make_bzimage(header));
  ASSERT_TRUE(kernel) << error_of(kernel);
  EXPECT_EQ(kernel->entry, 0x1200200U);
}

TEST(BzImage, OldHeaderEndsEarly) {
  setup_header header = good_header();
  header.jump = 0x3eeb;  // ends before pref_address
  const Bytes file = make_bzimage(header);
  const auto found = find_bzimage_header(std::as_bytes(std::span(file)));
  ASSERT_TRUE(found);
  EXPECT_EQ(+found->xloadflags, XLF_KERNEL_64);
  EXPECT_EQ(+found->pref_address, 0U);
}

TEST(BzImage, SetupSectorsOfZeroMeanFour) {
  setup_header header = good_header();
  header.setup_sects = 0;
  Bytes file = make_bzimage(header);
  constexpr std::size_t kSetup = 5UZ * 512;
  file.resize(kSetup);
  file.resize(kSetup + kKernelSize, 0x77);
  const auto memory = make_memory(32 * kTestMiB);
  ASSERT_TRUE(load(memory, file));
  EXPECT_EQ(read_guest(memory, 0x1000000, kKernelSize), Bytes(kKernelSize, 0x77));
}

struct Bad {
  const char* what;
  std::function<void(setup_header&)> spoil;
  const char* message;
};

TEST(BzImage, BadOnesAreRefused) {
  const Bad cases[] = {
      {"old", [](setup_header& h) { h.version = 0x020b; }, "2.12"},
      {"32-bit", [](setup_header& h) { h.xloadflags = 0; }, "XLF_KERNEL_64"},
      {"zImage", [](setup_header& h) { h.loadflags = 0; }, "below 1 MiB"},
      {"no kernel", [](setup_header& h) { h.syssize = 0; }, "truncated"},
      {"truncated", [](setup_header& h) { h.syssize += 1; }, "truncated"},
      {"vast", [](setup_header& h) { h.syssize = UINT32_MAX; }, "truncated"},
      {"many sectors", [](setup_header& h) { h.setup_sects = 255; }, "truncated"},
      {"not aligned", [](setup_header& h) { h.kernel_alignment = 0; }, "impossible place"},
      {"odd alignment", [](setup_header& h) { h.kernel_alignment = 3; }, "impossible place"},
      {"overflow", [](setup_header& h) { h.pref_address = UINT64_MAX; }, "impossible place"},
      {"outside", [](setup_header& h) { h.pref_address = 1ULL << 40; }, "not all in"},
      {"fixed and outside",
       [](setup_header& h) {
         h.relocatable_kernel = 0;
         h.pref_address = UINT64_MAX;
       },
       "not all in"},
      {"init_size", [](setup_header& h) { h.init_size = 0x1000001; }, "not all in"},
      {"low",
       [](setup_header& h) {
         h.relocatable_kernel = 0;
         h.pref_address = 0x9000;
         h.init_size = 0;
       },
       "page tables"},
  };
  for (const Bad& bad : cases) {
    setup_header header = good_header();
    bad.spoil(header);
    const auto memory = make_memory(32 * kTestMiB);
    const auto kernel = load(memory, make_bzimage(header));
    ASSERT_FALSE(kernel) << bad.what;
    EXPECT_EQ(kernel.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(error_of(kernel).find(bad.message), std::string::npos)
        << bad.what << ": " << error_of(kernel);
    EXPECT_EQ(touched_pages(memory), 0U) << bad.what;
  }
}

TEST(BzImage, KernelMustReachItsEntry) {
  setup_header header = good_header();
  header.syssize = 0x200 / 16;
  Bytes file = make_bzimage(header);
  file.resize(1024 + 0x200);
  EXPECT_NE(error_of(load(make_memory(32 * kTestMiB), file)).find("64-bit entry"),
            std::string::npos);
}

TEST(BzImage, HasNoPvhEntry) {
  const auto kernel =
      load(make_memory(32 * kTestMiB), make_bzimage(good_header()), BootProtocolChoice::kPvh);
  EXPECT_NE(error_of(kernel).find("no PVH entry"), std::string::npos) << error_of(kernel);
}

TEST(BzImage, TruncatedAnywhere) {
  const Bytes file = make_bzimage(good_header());
  const auto memory = make_memory(32 * kTestMiB);
  for (std::size_t length = 0; length < file.size(); length += length < 0x300 ? 1 : 97) {
    EXPECT_FALSE(load(memory, Bytes(file.begin(), file.begin() + length))) << length;
  }
}

}  // namespace
}  // namespace mote::arch

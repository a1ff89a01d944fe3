// From files to a filled guest memory: what a kernel finds through either protocol.

#include "arch/x86_64/boot.h"

#include <asm/bootparam.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include "arch/support.h"
#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

constexpr std::uint64_t kSize = 128 * kTestMiB;

// The layout of the start info, written out apart from the code under test.
constexpr std::uint64_t kModules = 12;
constexpr std::uint64_t kModuleList = 16;
constexpr std::uint64_t kCmdlineAddress = 24;
constexpr std::uint64_t kRsdpAddress = 32;
constexpr std::uint64_t kMapAddress = 40;
constexpr std::uint64_t kMapEntries = 48;

class PrepareBoot : public testing::Test {
 protected:
  PrepareBoot() : memory_(make_memory(kSize)) { use_kernel(make_elf(true).build()); }

  void use_kernel(const Bytes& content) {
    kernel_ = make_file(content);
    inputs_.kernel = {.fd = kernel_.get(), .name = "vmlinux"};
  }
  void use_initrd(const Bytes& content) {
    initrd_ = make_file(content);
    inputs_.initrd = BootFile{.fd = initrd_.get(), .name = "initrd.img"};
  }
  void use_cmdline(std::string_view text) {
    auto line = Cmdline::parse(text);
    ASSERT_TRUE(line);
    inputs_.cmdline = *line;
  }
  Result<BootState> prepare() const { return prepare_boot(memory_, inputs_); }
  // Its message, having failed.
  std::string refusal() const { return error_of(prepare()); }

  template <typename T>
  T at(std::uint64_t address) const {
    return *memory_.read<T>(address);
  }
  std::string text_at(std::uint64_t address) const {
    const Bytes bytes = read_guest(memory_, address, layout::kCmdlineMaxSize);
    return std::string(bytes.begin(), std::ranges::find(bytes, 0));
  }

  memory::GuestMemory memory_;
  BootInputs inputs_;

 private:
  UniqueFd kernel_;
  UniqueFd initrd_;
};

TEST_F(PrepareBoot, PvhGuestFindsItsStartInfo) {
  use_cmdline("console=ttyS0 -- init words");
  const auto state = prepare();
  ASSERT_TRUE(state) << error_of(state);
  EXPECT_EQ(state->protocol, BootProtocol::kPvh);
  EXPECT_EQ(state->entry, kTestMiB + 16);
  ASSERT_EQ(state->parameter, layout::kStartInfo);
  const std::uint64_t info = layout::kStartInfo;
  EXPECT_EQ(at<std::uint32_t>(info), 0x336ec578U);
  EXPECT_EQ(at<std::uint32_t>(info + 4), 1U);
  EXPECT_EQ(at<std::uint32_t>(info + kModules), 0U);
  EXPECT_EQ(at<std::uint64_t>(info + kModuleList), 0U);
  EXPECT_EQ(text_at(at<std::uint64_t>(info + kCmdlineAddress)), "console=ttyS0 -- init words");
  EXPECT_EQ(at<std::uint64_t>(info + kRsdpAddress), layout::kRsdp);
  EXPECT_EQ(read_guest(memory_, layout::kRsdp, 4), (Bytes{'R', 'S', 'D', ' '}));
  EXPECT_EQ(read_guest(memory_, layout::kMpTable, 4), (Bytes{'_', 'M', 'P', '_'}));

  ASSERT_EQ(at<std::uint32_t>(info + kMapEntries), 3U);
  const std::uint64_t map = at<std::uint64_t>(info + kMapAddress);
  const std::uint64_t expected[][3] = {
      {0, 0x9fc00, 1}, {0x9fc00, 0x100000 - 0x9fc00, 2}, {0x100000, kSize - 0x100000, 1}};
  for (unsigned index = 0; index < 3; ++index) {
    EXPECT_EQ(at<std::uint64_t>(map + index * 24ULL), expected[index][0]);
    EXPECT_EQ(at<std::uint64_t>(map + index * 24ULL + 8), expected[index][1]);
    EXPECT_EQ(at<std::uint32_t>(map + index * 24ULL + 16), expected[index][2]);
  }
}

// The bar for a bare guest is 64 KiB; of it the kernel's own pages are left out here.
TEST_F(PrepareBoot, PvhTouchesFivePages) {
  inputs_.cpus = 32;
  inputs_.devices.vmgenid = VmGenIdDevice{.address = layout::kVmGenId, .gsi = 23};
  inputs_.devices.com2 = true;
  ASSERT_TRUE(prepare());
  EXPECT_EQ(touched_pages(memory_), 4U + 1U) << "start info, command line, MP, ACPI; kernel";
}

TEST_F(PrepareBoot, Linux64TouchesNinePages) {
  inputs_.protocol = BootProtocolChoice::kLinux64;
  ASSERT_TRUE(prepare());
  EXPECT_EQ(touched_pages(memory_), 8U + 1U)
      << "GDT, zero page, three page tables, command line, MP, ACPI; kernel";
}

TEST_F(PrepareBoot, Linux64GuestFindsItsZeroPage) {
  use_cmdline("quiet");
  use_initrd(Bytes(5000, 0x11));
  inputs_.protocol = BootProtocolChoice::kLinux64;
  const auto state = prepare();
  ASSERT_TRUE(state) << error_of(state);
  EXPECT_EQ(state->protocol, BootProtocol::kLinux64);
  EXPECT_EQ(state->entry, kTestMiB);
  ASSERT_EQ(state->parameter, layout::kZeroPage);
  const auto page = at<boot_params>(layout::kZeroPage);
  EXPECT_EQ(+page.hdr.boot_flag, 0xaa55);
  EXPECT_EQ(+page.hdr.header, 0x53726448U);
  EXPECT_EQ(page.hdr.type_of_loader, 0xff);
  EXPECT_EQ(text_at(page.hdr.cmd_line_ptr), "quiet");
  EXPECT_EQ(+page.acpi_rsdp_addr, layout::kRsdp);
  EXPECT_EQ(+page.hdr.ramdisk_image, kSize - 8192);
  EXPECT_EQ(+page.hdr.ramdisk_size, 5000U);
  ASSERT_EQ(page.e820_entries, 3);
  EXPECT_EQ(+page.e820_table[0].size, 0x9fc00U);
  EXPECT_EQ(+page.e820_table[1].type, 2U);
  EXPECT_EQ(+page.e820_table[2].addr, 0x100000U);
}

TEST_F(PrepareBoot, InitrdLiesAtTheTopAsAModule) {
  Bytes content(70'001);
  content.front() = 1;
  content.back() = 2;
  use_initrd(content);
  ASSERT_TRUE(prepare());
  const std::uint64_t info = layout::kStartInfo;
  ASSERT_EQ(at<std::uint32_t>(info + kModules), 1U);
  const std::uint64_t module = at<std::uint64_t>(info + kModuleList);
  const std::uint64_t start = at<std::uint64_t>(module);
  EXPECT_EQ(start, kSize - 18ULL * 4096);
  EXPECT_EQ(at<std::uint64_t>(module + 8), content.size());
  EXPECT_EQ(at<std::uint64_t>(module + 16), 0U);
  EXPECT_EQ(read_guest(memory_, start, content.size()), content);
}

TEST_F(PrepareBoot, InitrdStaysBelowTheGap) {
  memory_ = make_memory(4 * layout::kGiB);
  use_initrd(Bytes(4097, 0x22));
  ASSERT_TRUE(prepare());
  EXPECT_EQ(at<std::uint64_t>(at<std::uint64_t>(layout::kStartInfo + kModuleList)),
            layout::kMmio32Start - 8192);
}

TEST_F(PrepareBoot, InitrdGoesBelowAKernelAtTheTop) {
  ElfFile elf = make_elf(true);
  elf.add_segment(kSize - 2 * kTestMiB, Bytes(16, 1), 2 * kTestMiB);
  use_kernel(elf.build());
  use_initrd(Bytes(100, 0x33));
  ASSERT_TRUE(prepare());
  EXPECT_EQ(at<std::uint64_t>(at<std::uint64_t>(layout::kStartInfo + kModuleList)),
            kSize - 2 * kTestMiB - 4096);
}

TEST_F(PrepareBoot, InitrdThatDoesNotFit) {
  memory_ = make_memory(2 * kTestMiB);
  use_initrd(Bytes(kTestMiB, 0x44));  // the kernel's page is missing
  EXPECT_NE(refusal().find("initrd 'initrd.img': 1048576 bytes do not fit"), std::string::npos)
      << refusal();
  use_initrd(Bytes(kTestMiB - 4096, 0x44));
  EXPECT_TRUE(prepare());
  use_initrd(Bytes(3 * kTestMiB, 0x44));
  EXPECT_NE(refusal().find("do not fit"), std::string::npos) << refusal();
}

TEST_F(PrepareBoot, InitrdThatIsNone) {
  use_initrd({});
  EXPECT_NE(refusal().find("initrd 'initrd.img': the file is empty"), std::string::npos)
      << refusal();
  const auto directory = open_file("/", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(directory);
  inputs_.initrd = BootFile{.fd = directory->get(), .name = "/"};
  EXPECT_NE(refusal().find("regular file"), std::string::npos) << refusal();
  inputs_.initrd = BootFile{.fd = -1, .name = "gone"};
  EXPECT_NE(refusal().find("initrd 'gone'"), std::string::npos) << refusal();
}

TEST_F(PrepareBoot, KernelsErrorsNameTheFile) {
  use_kernel({});
  EXPECT_EQ(refusal(), "kernel 'vmlinux': the file is empty");
}

TEST_F(PrepareBoot, Linux64KernelMustBeMapped) {
  memory_ = make_memory(5 * layout::kGiB);
  ElfFile elf = make_elf(true);
  elf.add_segment(5 * layout::kGiB, Bytes(4), 4);
  use_kernel(elf.build());
  EXPECT_TRUE(prepare()) << refusal();
  inputs_.protocol = BootProtocolChoice::kLinux64;
  EXPECT_NE(refusal().find("below 4 GiB"), std::string::npos) << refusal();
}

TEST_F(PrepareBoot, TooManyCpus) {
  inputs_.cpus = 33;
  EXPECT_NE(refusal().find("33 vCPUs"), std::string::npos) << refusal();
  inputs_.cpus = 0;
  EXPECT_NE(refusal().find("0 vCPUs"), std::string::npos) << refusal();
}

class PrepareBzImage : public PrepareBoot {
 protected:
  PrepareBzImage() {
    header_.setup_sects = 1;
    header_.syssize = 64;
    header_.boot_flag = 0xaa55;
    header_.jump = 0x66eb;
    header_.header = 0x53726448;
    header_.version = 0x020f;
    header_.loadflags = LOADED_HIGH;
    header_.xloadflags = XLF_KERNEL_64;
    header_.kernel_alignment = 0x200000;
    header_.relocatable_kernel = 1;
    header_.pref_address = 0x1000000;
    header_.init_size = 0x200000;
    header_.cmdline_size = 2047;
    header_.initrd_addr_max = 0x4ffffff;
  }
  void use_header() {
    Bytes file(2048, 0x90);
    std::memcpy(file.data() + 0x1f1, &header_, sizeof header_);
    use_kernel(file);
  }
  setup_header header_{};
};

TEST_F(PrepareBzImage, KeepsItsOwnHeaderAndInitrdLimit) {
  use_header();
  use_initrd(Bytes(4096, 0x55));
  const auto state = prepare();
  ASSERT_TRUE(state) << error_of(state);
  EXPECT_EQ(state->entry, 0x1000200U);
  const auto page = at<boot_params>(layout::kZeroPage);
  EXPECT_EQ(+page.hdr.version, 0x020f);
  EXPECT_EQ(+page.hdr.init_size, 0x200000U);
  EXPECT_EQ(page.hdr.type_of_loader, 0xff);
  EXPECT_EQ(+page.hdr.ramdisk_image, 0x4fff000U);
}

TEST_F(PrepareBzImage, InitrdKeepsClearOfWhereItUnpacks) {
  header_.initrd_addr_max = 0x11fffff;  // the end of the kernel's two MiB
  use_header();
  use_initrd(Bytes(4096, 0x55));
  ASSERT_TRUE(prepare());
  EXPECT_EQ(+at<boot_params>(layout::kZeroPage).hdr.ramdisk_image, 0x1000000U - 4096);
}

TEST_F(PrepareBzImage, TakesNoLongerLineThanItSays) {
  header_.cmdline_size = 255;
  use_header();
  use_cmdline(std::string(255, 'a'));
  EXPECT_TRUE(prepare());
  use_cmdline(std::string(256, 'a'));
  EXPECT_NE(refusal().find("256 bytes long; this kernel takes at most 255"), std::string::npos)
      << refusal();
}

}  // namespace
}  // namespace mote::arch

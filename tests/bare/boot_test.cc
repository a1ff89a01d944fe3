// What a guest finds when it is entered: memory, command line, initrd, ACPI tables, at both
// entries.

#include <algorithm>
#include <cstring>

#include "bare_test.h"

namespace mote::bare {
namespace {

constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kGapStart = 3ULL << 30;
constexpr std::uint64_t kGapEnd = 4ULL << 30;
constexpr std::uint64_t kRam = 1;  // an e820 type

class BootTest : public BareTest {
 protected:
  // The map that `guest` prints must describe `memory_mib` MiB: no overlap, RAM neither in the gap
  // nor beyond its end, and no more than the first MiB's holes missing.
  void expect_memory(const std::string& guest, unsigned memory_mib) const {
    const std::string output = output_of({.guest = guest, .memory_mib = memory_mib});
    const std::uint64_t size = memory_mib * kMib;
    const std::uint64_t end = size <= kGapStart ? size : size - kGapStart + kGapEnd;
    std::uint64_t ram = 0;
    std::map<std::uint64_t, std::uint64_t> seen;  // start to end
    for (const Fields& entry : lines_with(output, "memory=")) {
      const std::uint64_t first = number(entry, "memory");
      const std::uint64_t last = first + number(entry, "size");
      EXPECT_LT(first, last) << output;
      const auto next = seen.lower_bound(first);
      EXPECT_TRUE(next == seen.end() || next->first >= last) << output;
      EXPECT_TRUE(next == seen.begin() || std::prev(next)->second <= first) << output;
      seen.emplace(first, last);
      if (number(entry, "type") != kRam) continue;
      ram += last - first;
      EXPECT_LE(last, end) << output;
      EXPECT_TRUE(last <= kGapStart || first >= kGapEnd) << output;
    }
    EXPECT_LE(ram, size) << output;
    EXPECT_GE(ram, size - kMib) << output;
  }

  // Whether the guest found `content` as its initrd, by its size and its first and last four bytes.
  static void expect_initrd(const Fields& line, std::string_view content) {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
    std::memcpy(&first, content.data(), sizeof first);
    std::memcpy(&last, content.data() + content.size() - sizeof last, sizeof last);
    EXPECT_EQ(number(line, "size"), content.size());
    EXPECT_EQ(number(line, "first"), first);
    EXPECT_EQ(number(line, "last"), last);
  }
};

TEST_F(BootTest, PvhGuestSaysHello) { EXPECT_EQ(output_of({.guest = "hello"}), "X"); }

TEST_F(BootTest, LongModeGuestSaysHello) { EXPECT_EQ(output_of({.guest = "hello64"}), "X"); }

TEST_F(BootTest, PvhMemoryMap) {
  expect_memory("pvh_info", 128);
  expect_memory("pvh_info", 3072);
  expect_memory("pvh_info", 5000);
}

TEST_F(BootTest, ZeroPageMemoryMap) {
  expect_memory("zero_page", 128);
  expect_memory("zero_page", 3072);
  expect_memory("zero_page", 5000);
}

TEST_F(BootTest, PvhStartInfo) {
  const std::string output = output_of({.guest = "pvh_info", .boot_args = "first second=2"});
  const Fields info = line_with(output, "magic=");
  EXPECT_EQ(number(info, "magic"), 0x336ec578);
  EXPECT_EQ(number(info, "version"), 1);  // the first with a memory map
  EXPECT_NE(number(info, "rsdp"), 0);
  EXPECT_EQ(number(info, "cr0") & 0x80000001, 1) << "protected mode, no paging";
  EXPECT_NE(output.find("\ncmdline=first second=2"), std::string::npos) << output;
}

TEST_F(BootTest, ZeroPage) {
  const std::string output = output_of({.guest = "zero_page", .boot_args = "first second=2"});
  const Fields page = line_with(output, "boot_flag=");
  EXPECT_EQ(number(page, "boot_flag"), 0xaa55);
  EXPECT_EQ(number(page, "header"), 0x53726448);  // "HdrS"
  EXPECT_NE(number(page, "loader"), 0) << "0 is LILO, whose fields mean something else";
  EXPECT_EQ(number(page, "cr0") & 0x80000001, 0x80000001) << "protected mode and paging";
  EXPECT_NE(number(page, "cr4") & 0x20, 0) << "physical address extension";
  EXPECT_NE(output.find("\ncmdline=first second=2"), std::string::npos) << output;
}

TEST_F(BootTest, PvhInitrd) {
  const std::string content = "head" + std::string(70'001, '-') + "tail";
  const std::string output =
      output_of({.guest = "pvh_info", .initrd = write_file("initrd", content)});
  const auto modules = lines_with(output, "module=");
  ASSERT_EQ(modules.size(), 1U) << output;
  expect_initrd(modules[0], content);
  EXPECT_EQ(number(modules[0], "module") % 4096, 0);
}

TEST_F(BootTest, ZeroPageInitrd) {
  const std::string content = "head" + std::string(70'001, '-') + "tail";
  const std::string output =
      output_of({.guest = "zero_page", .initrd = write_file("initrd", content)});
  const auto ramdisks = lines_with(output, "ramdisk=");
  ASSERT_EQ(ramdisks.size(), 1U) << output;
  expect_initrd(ramdisks[0], content);
}

TEST_F(BootTest, NoInitrdWhereNoneIsGiven) {
  EXPECT_TRUE(lines_with(output_of({.guest = "pvh_info"}), "module=").empty());
  EXPECT_TRUE(lines_with(output_of({.guest = "zero_page"}), "ramdisk=").empty());
}

TEST_F(BootTest, AcpiTables) {
  const std::string output = output_of({.guest = "acpi", .vcpus = 3});
  const Fields rsdp = line_with(output, "rsdp=");
  EXPECT_EQ(number(rsdp, "rsdp"), 0x2052545020445352) << "\"RSD PTR \"";
  EXPECT_EQ(number(rsdp, "sum20"), 0);
  EXPECT_EQ(number(rsdp, "sum36"), 0);
  std::vector<std::string> names;
  for (const Fields& table : lines_with(output, "table=")) {
    names.push_back(table.at("table"));
    EXPECT_EQ(number(table, "sum"), 0) << names.back();
    EXPECT_GE(number(table, "length"), 36) << names.back();
  }
  for (const char* wanted : {"XSDT", "FACP", "DSDT", "APIC"}) {
    EXPECT_EQ(std::ranges::count(names, wanted), 1) << wanted << " is missing:\n" << output;
  }
  const Fields fadt = line_with(output, "fadt ");
  EXPECT_NE(number(fadt, "flags") & 1U << 20, 0) << "HW_REDUCED_ACPI";
  EXPECT_EQ(number(fadt, "sleep_register") & 0xffff, 0x0801) << "eight bits in port space";
  EXPECT_EQ(number(fadt, "sleep_address"), 0x600);
  const Fields vmclock = line_with(output, "vmclock ");
  EXPECT_EQ(number(vmclock, "magic"), 0x4b4c4356) << "VCLK";
  EXPECT_EQ(number(vmclock, "size"), 4096);
  EXPECT_EQ(number(vmclock, "sequence"), 0);
  EXPECT_EQ(number(vmclock, "flags"), 0x300);
}

TEST_F(BootTest, CommandLineNamesVirtioDevices) {
  const std::string disk = write_file("disk", std::string(4096, 'd'));
  const std::string output = output_of(
      {.guest = "pvh_info", .boot_args = "mine", .drives = {drive("a", disk), drive("b", disk)}});
  const auto lines = lines_of(output);
  const auto line =
      std::ranges::find_if(lines, [](const auto& text) { return text.starts_with("cmdline="); });
  ASSERT_NE(line, lines.end());
  std::size_t devices = 0;
  for (std::size_t at = line->find("virtio_mmio.device=4K@0x"); at != std::string::npos;
       at = line->find("virtio_mmio.device=4K@0x", at + 1)) {
    ++devices;
  }
  EXPECT_EQ(devices, 2) << *line;
}

TEST_F(BootTest, BootTimerSaysWhenTheGuestIsUp) {
  EXPECT_EQ(output_of({.guest = "boot_timer", .flags = {"--boot-timer"}}), "booted\n");
  EXPECT_NE(log().find("Guest-boot-time"), std::string::npos) << log();
}

TEST_F(BootTest, BootTimerIsAbsentUnlessAskedFor) {
  EXPECT_EQ(output_of({.guest = "boot_timer"}), "booted\n");
  EXPECT_EQ(log().find("Guest-boot-time"), std::string::npos) << log();
}

}  // namespace
}  // namespace mote::bare

#include "arch/x86_64/zero_page.h"

#include <cstddef>

#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

constexpr std::uint16_t kBootFlag = 0xaa55;
constexpr std::uint32_t kHeaderMagic = 0x53726448;  // "HdrS"
constexpr std::uint8_t kLoaderUndefined = 0xff;     // a loader without an assigned number
constexpr std::uint32_t kKernelAlignment = 0x1000000;

// What a vmlinux is told where a bzImage brings its own.
setup_header elf_header() {
  setup_header header{};
  header.boot_flag = kBootFlag;
  header.header = kHeaderMagic;
  header.kernel_alignment = kKernelAlignment;
  header.cmdline_size = layout::kCmdlineMaxSize - 1;
  return header;
}

}  // namespace

Result<void> write_zero_page(const memory::GuestMemory& memory, const BootFacts& facts,
                             const std::optional<setup_header>& header) {
  boot_params page{};
  static_assert(sizeof page == memory::kPageSize);
  static_assert(offsetof(boot_params, hdr) == 0x1f1);
  page.hdr = header ? *header : elf_header();
  if (facts.cmdline_size > page.hdr.cmdline_size) {
    return fail(ErrorKind::kInvalid,
                "the kernel command line is {} bytes long; this kernel takes at most {}",
                facts.cmdline_size, +page.hdr.cmdline_size);
  }
  if (facts.map.size() > E820_MAX_ENTRIES_ZEROPAGE) {
    return fail(ErrorKind::kInternal, "a memory map of {} entries; {} fit into the zero page",
                facts.map.size(), E820_MAX_ENTRIES_ZEROPAGE);
  }
  page.hdr.type_of_loader = kLoaderUndefined;
  page.hdr.cmd_line_ptr = layout::kCmdline;
  page.hdr.ramdisk_image = static_cast<std::uint32_t>(facts.initrd.start);
  page.hdr.ramdisk_size = static_cast<std::uint32_t>(facts.initrd.size);
  page.acpi_rsdp_addr = facts.rsdp;
  page.e820_entries = static_cast<std::uint8_t>(facts.map.size());
  for (std::size_t index = 0; index < facts.map.size(); ++index) {
    const MemoryMapEntry& entry = facts.map[index];
    page.e820_table[index].addr = entry.range.start;
    page.e820_table[index].size = entry.range.size;
    page.e820_table[index].type = static_cast<std::uint32_t>(entry.type);
  }
  return memory.write(layout::kZeroPage, page);
}

}  // namespace mote::arch

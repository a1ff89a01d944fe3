#include "arch/x86_64/registers.h"

#include <asm/processor-flags.h>

#include <array>
#include <cstring>

#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

// A segment as the processor keeps it, beside its selector.
struct SegmentType {
  std::uint8_t type;  // 4 bits; AMD's and Intel's manuals, "segment descriptors"
  std::uint8_t s;     // 1: code or data, 0: system
  std::uint8_t l;     // 64-bit code
  std::uint8_t db;    // 32-bit
  std::uint8_t g;     // limit in pages
};
constexpr SegmentType kCode32{.type = 0xb, .s = 1, .l = 0, .db = 1, .g = 1};
constexpr SegmentType kCode64{.type = 0xb, .s = 1, .l = 1, .db = 0, .g = 1};
constexpr SegmentType kData{.type = 0x3, .s = 1, .l = 0, .db = 1, .g = 1};
constexpr SegmentType kTss{.type = 0xb, .s = 0, .l = 0, .db = 0, .g = 0};  // busy

// The selectors that Linux' boot protocol wants: __BOOT_CS and __BOOT_DS; the TSS after them.
constexpr std::uint16_t kCodeSelector = 0x10;
constexpr std::uint16_t kDataSelector = 0x18;
constexpr std::uint16_t kTssSelector = 0x20;

constexpr std::uint32_t kFlatLimit = 0xffffffff;
constexpr std::uint32_t kTssLimit = 0x67;

constexpr std::uint64_t kEferLme = 1 << 8;
constexpr std::uint64_t kEferLma = 1 << 10;

constexpr std::uint64_t kPagePresent = 1 << 0;
constexpr std::uint64_t kPageWritable = 1 << 1;
constexpr std::uint64_t kPageLarge = 1 << 7;
constexpr std::uint64_t kEntriesPerTable = 512;
constexpr std::uint64_t kLargePage = 2 * layout::kMiB;

kvm_segment make_segment(const SegmentType& type, std::uint16_t selector, std::uint32_t limit) {
  kvm_segment segment{};
  segment.limit = limit;
  segment.selector = selector;
  segment.type = type.type;
  segment.s = type.s;
  segment.l = type.l;
  segment.db = type.db;
  segment.g = type.g;
  segment.present = 1;
  return segment;
}

// The descriptor from which the processor would load `segment`: base 0, and a limit in pages where
// g says so.
std::uint64_t descriptor_of(const kvm_segment& segment) {
  const std::uint64_t limit = segment.g != 0 ? segment.limit >> 12 : segment.limit;
  return (limit & 0xffff) | (limit >> 16 & 0xf) << 48 |
         static_cast<std::uint64_t>(segment.type) << 40 |
         static_cast<std::uint64_t>(segment.s) << 44 |
         static_cast<std::uint64_t>(segment.present) << 47 |
         static_cast<std::uint64_t>(segment.l) << 53 |
         static_cast<std::uint64_t>(segment.db) << 54 | static_cast<std::uint64_t>(segment.g) << 55;
}

void set_segments(const SegmentType& code, kvm_sregs& sregs) {
  const kvm_segment data = make_segment(kData, kDataSelector, kFlatLimit);
  sregs.cs = make_segment(code, kCodeSelector, kFlatLimit);
  sregs.ds = data;
  sregs.es = data;
  sregs.fs = data;
  sregs.gs = data;
  sregs.ss = data;
  sregs.tr = make_segment(kTss, kTssSelector, kTssLimit);
  sregs.ldt = {};
  sregs.ldt.unusable = 1;
  // Without an interrupt table an exception is a triple fault, which ends the VM.
  sregs.idt = {};
}

// null, null, code, data, and the two halves of a 64-bit TSS descriptor.
constexpr std::size_t kGdtEntries = 6;

std::array<std::uint64_t, kGdtEntries> make_gdt() {
  std::array<std::uint64_t, kGdtEntries> gdt{};
  gdt[kCodeSelector / 8] = descriptor_of(make_segment(kCode64, kCodeSelector, kFlatLimit));
  gdt[kDataSelector / 8] = descriptor_of(make_segment(kData, kDataSelector, kFlatLimit));
  gdt[kTssSelector / 8] = descriptor_of(make_segment(kTss, kTssSelector, kTssLimit));
  return gdt;
}

}  // namespace

void set_pvh_registers(std::uint64_t entry, std::uint64_t start_info, kvm_regs& regs,
                       kvm_sregs& sregs) {
  regs = {};
  regs.rip = entry;
  regs.rbx = start_info;
  regs.rflags = X86_EFLAGS_FIXED;
  set_segments(kCode32, sregs);
  sregs.gdt = {};  // a PVH guest loads its own before it loads a segment
  sregs.cr0 = X86_CR0_PE | X86_CR0_ET;
  sregs.cr3 = 0;
  sregs.cr4 = 0;
  sregs.efer = 0;
}

void set_linux64_registers(std::uint64_t entry, std::uint64_t zero_page, kvm_regs& regs,
                           kvm_sregs& sregs) {
  regs = {};
  regs.rip = entry;
  regs.rsi = zero_page;
  regs.rsp = layout::kBootStackTop;
  regs.rbp = layout::kBootStackTop;
  regs.rflags = X86_EFLAGS_FIXED;
  set_segments(kCode64, sregs);
  sregs.gdt = {};
  sregs.gdt.base = layout::kGdt;
  sregs.gdt.limit = kGdtEntries * sizeof(std::uint64_t) - 1;
  sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
  sregs.cr3 = layout::kPml4;
  sregs.cr4 = X86_CR4_PAE;
  sregs.efer = kEferLme | kEferLma;
}

Result<void> write_boot_tables(const memory::GuestMemory& memory, std::uint64_t mapped_end) {
  if (mapped_end > layout::kMaxPageDirectories * layout::kGiB) {
    return fail(ErrorKind::kInvalid,
                "the kernel ends at {:#x}; through the 64-bit entry it can be loaded below {} GiB "
                "only",
                mapped_end, layout::kMaxPageDirectories);
  }
  MOTE_CHECK(memory.write(layout::kGdt, make_gdt()));
  constexpr std::uint64_t kTableFlags = kPagePresent | kPageWritable;
  MOTE_CHECK(memory.write(layout::kPml4, layout::kPdpt | kTableFlags));
  for (std::uint64_t gib = 0; gib == 0 || gib * layout::kGiB < mapped_end; ++gib) {
    const std::uint64_t directory = layout::kPageDirectory + gib * memory::kPageSize;
    MOTE_CHECK(memory.write(layout::kPdpt + gib * sizeof(std::uint64_t), directory | kTableFlags));
    std::array<std::uint64_t, kEntriesPerTable> pages{};
    for (std::uint64_t index = 0; index < pages.size(); ++index) {
      pages[index] = (gib * layout::kGiB + index * kLargePage) | kTableFlags | kPageLarge;
    }
    MOTE_CHECK(memory.write(directory, pages));
  }
  return {};
}

}  // namespace mote::arch

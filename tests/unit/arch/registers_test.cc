#include "arch/x86_64/registers.h"

#include <gtest/gtest.h>

#include "arch/support.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

kvm_sregs sregs_of_kvm() {
  kvm_sregs sregs{};
  sregs.apic_base = 0xfee00900;
  sregs.cr0 = 0x60000010;
  sregs.cs.selector = 0xf000;
  sregs.cs.base = 0xffff0000;
  return sregs;
}

void expect_flat(const kvm_segment& segment) {
  EXPECT_EQ(segment.base, 0U);
  EXPECT_EQ(segment.limit, 0xffffffffU);
  EXPECT_EQ(segment.present, 1);
  EXPECT_EQ(segment.dpl, 0);
  EXPECT_EQ(segment.g, 1);
  EXPECT_EQ(segment.s, 1);
}

// Xen's PVH ABI: docs/misc/pvh.
TEST(PvhRegisters, AreFlatProtectedModeWithoutPaging) {
  kvm_regs regs{};
  regs.rax = 0x1234;
  kvm_sregs sregs = sregs_of_kvm();
  set_boot_registers({.protocol = BootProtocol::kPvh, .entry = 0x1000510, .parameter = 0x6000},
                     regs, sregs);
  EXPECT_EQ(regs.rip, 0x1000510U);
  EXPECT_EQ(regs.rbx, 0x6000U);
  EXPECT_EQ(regs.rax, 0U);
  EXPECT_EQ(regs.rflags, 2U);
  EXPECT_EQ(sregs.cr0 & 0x80000001, 1U);
  EXPECT_EQ(sregs.cr4, 0U);
  EXPECT_EQ(sregs.efer, 0U);
  EXPECT_EQ(sregs.cs.db, 1);
  EXPECT_EQ(sregs.cs.l, 0);
  EXPECT_EQ(sregs.cs.type, 0xb);
  expect_flat(sregs.cs);
  for (const kvm_segment* data : {&sregs.ds, &sregs.es, &sregs.ss}) {
    expect_flat(*data);
    EXPECT_EQ(data->type, 3);
  }
  EXPECT_EQ(sregs.tr.limit, 0x67U);
  EXPECT_EQ(sregs.tr.type, 0xb);
  EXPECT_EQ(sregs.tr.s, 0);
  EXPECT_EQ(sregs.apic_base, 0xfee00900U) << "KVM's is kept";
}

TEST(Linux64Registers, AreLongModeOverTheBootTables) {
  kvm_regs regs{};
  kvm_sregs sregs = sregs_of_kvm();
  set_boot_registers({.protocol = BootProtocol::kLinux64, .entry = 0x1000200, .parameter = 0x7000},
                     regs, sregs);
  EXPECT_EQ(regs.rip, 0x1000200U);
  EXPECT_EQ(regs.rsi, 0x7000U);
  EXPECT_EQ(regs.rsp, layout::kBootStackTop);
  EXPECT_EQ(regs.rflags, 2U);
  EXPECT_EQ(sregs.cr0 & 0x80000001, 0x80000001U);
  EXPECT_EQ(sregs.cr4, 0x20U);
  EXPECT_EQ(sregs.efer, 0x500U);
  EXPECT_EQ(sregs.cr3, layout::kPml4);
  EXPECT_EQ(sregs.cs.l, 1);
  EXPECT_EQ(sregs.cs.db, 0);
  EXPECT_EQ(sregs.cs.selector, 0x10) << "__BOOT_CS";
  EXPECT_EQ(sregs.ds.selector, 0x18) << "__BOOT_DS";
  EXPECT_EQ(sregs.apic_base, 0xfee00900U);
}

TEST(BootTables, GdtHoldsWhatTheSegmentsSay) {
  const auto memory = make_memory(16 * kTestMiB);
  ASSERT_TRUE(write_boot_tables(memory, 0));
  const auto entry = [&](unsigned selector) {
    return *memory.read<std::uint64_t>(layout::kGdt + selector);
  };
  EXPECT_EQ(entry(0), 0U);
  EXPECT_EQ(entry(0x10), 0x00af9b000000ffffU);
  EXPECT_EQ(entry(0x18), 0x00cf93000000ffffU);
  EXPECT_EQ(entry(0x20), 0x00008b0000000067U);
  EXPECT_EQ(entry(0x28), 0U);
}

// Walks the tables as the processor does.
std::uint64_t translate(const memory::GuestMemory& memory, std::uint64_t address) {
  std::uint64_t table = layout::kPml4;
  for (const unsigned shift : {39U, 30U, 21U}) {
    const auto entry = *memory.read<std::uint64_t>(table + (address >> shift & 511) * 8);
    if ((entry & 3) != 3) return UINT64_MAX;
    if (shift == 21) {
      EXPECT_NE(entry & 0x80, 0U);
      return (entry & ~0x1fffffULL) + (address & 0x1fffff);
    }
    table = entry & ~0xfffULL;
  }
  return UINT64_MAX;
}

TEST(BootTables, MapOneToOneAsFarAsAsked) {
  struct {
    std::uint64_t end;
    std::uint64_t mapped;
    std::size_t pages;  // touched, with the GDT's
  } const cases[] = {{0, layout::kGiB, 4},
                     {0x2000000, layout::kGiB, 4},
                     {layout::kGiB, layout::kGiB, 4},
                     {layout::kGiB + 1, 2 * layout::kGiB, 5},
                     {4 * layout::kGiB, 4 * layout::kGiB, 7}};
  for (const auto& [end, mapped, pages] : cases) {
    const auto memory = make_memory(16 * kTestMiB);
    ASSERT_TRUE(write_boot_tables(memory, end));
    for (const std::uint64_t address :
         {std::uint64_t{0}, std::uint64_t{0x7123}, std::uint64_t{0x1fffff}, mapped - 1}) {
      EXPECT_EQ(translate(memory, address), address);
    }
    EXPECT_EQ(translate(memory, mapped), UINT64_MAX);
    EXPECT_EQ(touched_pages(memory), pages);
  }
  EXPECT_NE(error_of(write_boot_tables(make_memory(2 * kTestMiB), 4 * layout::kGiB + 1))
                .find("below 4 GiB"),
            std::string::npos);
}

}  // namespace
}  // namespace mote::arch

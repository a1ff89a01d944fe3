#include "devices/acpi_pm.h"
#include "devices/boot_timer.h"
#include "devices/chip.h"
#include "devices/exit_port.h"
#include "devices/vmclock.h"
#include "devices/vmgenid.h"
#include "log_lines.h"

namespace mote::devices {
namespace {

TEST(ExitPort, HandsBackTheByte) {
  EndRecorder end;
  ExitPort port(end.sink());
  out8(port, 0, 7);
  ASSERT_EQ(end.ends.size(), 1);
  EXPECT_EQ(end.ends[0].reason, EndReason::kExitPort);
  EXPECT_EQ(end.ends[0].status, 7);
  EXPECT_EQ(in8(port, 0), 0xff);
  expect_no_wide_registers(port);
  EXPECT_EQ(end.ends.size(), 1);
}

TEST(AcpiPm, PowersOffOnS5Alone) {
  EndRecorder end;
  AcpiPm pm(end.sink());
  out8(pm, 0, 0x14);  // S5 without "enable"
  out8(pm, 0, 0x24);  // "enable" with S1
  out8(pm, 1, 0x34);  // the status register
  EXPECT_TRUE(end.ends.empty());
  EXPECT_EQ(pm.missed_writes(), 1);
  EXPECT_EQ(in8(pm, 0), 0);
  EXPECT_EQ(in8(pm, 1), 0);
  expect_no_wide_registers(pm);
  EXPECT_TRUE(end.ends.empty());
  out8(pm, 0, 0x34);
  ASSERT_EQ(end.ends.size(), 1);
  EXPECT_EQ(end.ends[0].reason, EndReason::kPowerOff);
}

TEST(BootTimer, LogsOnTheRightByteAlone) {
  const test::LogLines log;
  BootTimer timer(BootTimer::now());
  out8(timer, 0, 122);
  out8(timer, 1, kBootTimerSignal);
  expect_no_wide_registers(timer);
  EXPECT_EQ(in8(timer, 0), 0xff);
  EXPECT_EQ(log.text(), "") << "nothing logged yet";
  out8(timer, 0, kBootTimerSignal);
  EXPECT_THAT(log.text(),
              testing::ContainsRegex("Guest-boot-time = +[0-9]+ us [0-9]+ ms, +[0-9]+ CPU us "
                                     "[0-9]+ CPU ms"));
}

class VmGenIdTest : public testing::Test {
 protected:
  using Id = std::array<std::uint8_t, 16>;
  static memory::GuestMemory make_memory() {
    auto made = memory::GuestMemory::create({.ranges = {{.start = 0, .size = 1 << 20}}});
    EXPECT_TRUE(made);
    return std::move(*made);
  }
  Id in_memory() { return *memory.read<Id>(0x8000); }

  CountingInterrupt irq;
  memory::GuestMemory memory = make_memory();
};

TEST_F(VmGenIdTest, WritesAFreshIdentifierAndChangesIt) {
  auto id = VmGenId::create(memory, 0x8000, irq);
  ASSERT_TRUE(id);
  const Id first = in_memory();
  EXPECT_NE(first, Id{});
  EXPECT_EQ(irq.count, 0);
  ASSERT_TRUE(id->regenerate());
  EXPECT_NE(in_memory(), first);
  EXPECT_EQ(in_memory(), id->save().value);
  EXPECT_EQ(irq.count, 1);
}

TEST_F(VmGenIdTest, RestoredOneLeavesMemoryUntilItRegenerates) {
  auto id = VmGenId::create(memory, 0x8000, irq);
  ASSERT_TRUE(id);
  const Id before = in_memory();
  auto restored = VmGenId::restore(id->save(), memory, irq);
  ASSERT_TRUE(restored);
  EXPECT_EQ(in_memory(), before);
  EXPECT_EQ(restored->save().value, before);
  ASSERT_TRUE(restored->regenerate());
  EXPECT_NE(in_memory(), before);
}

TEST_F(VmGenIdTest, AddressIsChecked) {
  EXPECT_FALSE(VmGenId::create(memory, 0x8004, irq)) << "not aligned";
  EXPECT_FALSE(VmGenId::create(memory, (1 << 20) - 8, irq)) << "passes the end";
  EXPECT_FALSE(VmGenId::create(memory, ~0ULL - 7, irq));
  EXPECT_FALSE(VmGenId::restore({.address = 1 << 20, .value = {}}, memory, irq));
}

using VmClockTest = VmGenIdTest;

TEST_F(VmClockTest, WritesAPageThatLinuxTakes) {
  auto clock = VmClock::create(memory, 0x9000, irq);
  ASSERT_TRUE(clock);
  EXPECT_EQ(*memory.read<std::uint32_t>(0x9000), 0x4b4c4356U) << "VCLK";
  EXPECT_EQ(*memory.read<std::uint32_t>(0x9004), 4096U) << "less is not mapped into programs";
  EXPECT_EQ(*memory.read<std::uint16_t>(0x9008), 1);
  EXPECT_EQ(*memory.read<std::uint8_t>(0x900a), 0xff) << "no counter";
  EXPECT_EQ(*memory.read<std::uint64_t>(0x900c), 0U) << "the sequence, and half of the marker";
  EXPECT_EQ(*memory.read<std::uint64_t>(0x9018), 0x300U);
  EXPECT_EQ(*memory.read<std::uint8_t>(0x9022), 0) << "the clock's status is unknown";
  EXPECT_EQ(irq.count, 0);
}

TEST_F(VmClockTest, ADisruptionIsCountedAndTold) {
  auto first = VmClock::create(memory, 0x9000, irq);
  ASSERT_TRUE(first);
  first->disrupt();
  EXPECT_EQ(irq.count, 1);
  auto restored = VmClock::restore(first->save(), memory, irq);
  ASSERT_TRUE(restored);
  EXPECT_EQ(*memory.read<std::uint32_t>(0x900c), 2U) << "an even sequence";
  restored->disrupt();
  EXPECT_EQ(*memory.read<std::uint32_t>(0x900c), 4U);
  EXPECT_EQ(*memory.read<std::uint64_t>(0x9010), 2U) << "disruptions";
  EXPECT_EQ(*memory.read<std::uint64_t>(0x9068), 2U) << "generations";
  EXPECT_EQ(irq.count, 2);
}

TEST_F(VmClockTest, AddressAndStateAreChecked) {
  EXPECT_FALSE(VmClock::create(memory, 0x9800, irq)) << "not aligned";
  EXPECT_FALSE(VmClock::create(memory, 1 << 20, irq)) << "outside";
  EXPECT_FALSE(VmClock::restore({.address = 1 << 20}, memory, irq));
  EXPECT_FALSE(VmClock::restore({.address = 0x9000, .sequence = 3}, memory, irq));
}

}  // namespace
}  // namespace mote::devices

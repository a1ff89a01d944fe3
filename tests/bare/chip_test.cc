// The plain chips from a guest's side, and accesses where no chip is.

#include <ctime>

#include "bare_test.h"

namespace mote::bare {
namespace {

using ChipTest = BareTest;

TEST_F(ChipTest, SerialPortEchoesEveryByte) {
  VmmProcess process = start({.guest = "echo"});
  ASSERT_TRUE(process.wait_for_output("ready\n")) << process.errors();
  std::string bytes;
  for (int value = 0; value < 256; ++value) {
    if (value != 'q') bytes += static_cast<char>(value);
  }
  bytes += bytes;  // more than any FIFO holds
  bytes += 'q';
  ASSERT_TRUE(process.send(bytes));
  const auto ending = process.finish();
  ASSERT_TRUE(ending) << process.output().size() << " bytes came back";
  EXPECT_EQ(ending->text(), "exit 0");
  EXPECT_EQ(process.output(), "ready\n" + bytes);
}

TEST_F(ChipTest, GuestGoesOnCountingBetweenBytes) {
  VmmProcess process = start({.guest = "counter"});
  ASSERT_TRUE(process.wait_for_output("ready\n")) << process.errors();
  for (int count = 1; count <= 3; ++count) {
    ASSERT_TRUE(process.send("x"));
    EXPECT_TRUE(process.wait_for_output(fmt::format("memory={0:08x} register={0:08x}\n", count)))
        << process.output();
  }
}

TEST_F(ChipTest, InterruptsOfTimerAndSerialPortArrive) {
  EXPECT_EQ(output_of({.guest = "interrupt"}), "pit=done\n.........com1=done\n");
}

TEST_F(ChipTest, ClockTellsTheTime) {
  const std::time_t before = std::time(nullptr);
  const std::string registers = line_with(output_of({.guest = "rtc"}), "rtc=").at("rtc");
  const std::time_t after = std::time(nullptr);
  ASSERT_EQ(registers.size(), 28U);
  const auto value = [&](std::size_t index, int base) {
    return std::stoi(registers.substr(2 * index, 2), nullptr, base);
  };
  const int status_b = value(0x0b, 16);
  EXPECT_NE(status_b & 2, 0) << "24 hours";
  EXPECT_NE(value(0x0d, 16) & 0x80, 0) << "RAM and time are valid";
  const int base = (status_b & 4) != 0 ? 16 : 10;  // binary, or decimal digits
  std::tm told{};
  told.tm_sec = value(0, base);
  told.tm_min = value(2, base);
  told.tm_hour = value(4, base);
  told.tm_mday = value(7, base);
  told.tm_mon = value(8, base) - 1;
  told.tm_year = value(9, base) + 100;
  const std::time_t guest_time = ::timegm(&told);
  EXPECT_GE(guest_time, before - 1);
  EXPECT_LE(guest_time, after + 1);
}

TEST_F(ChipTest, PortsWithoutAChipReadAsOnes) {
  const std::string output = output_of({.guest = "ports"});
  const Fields line = line_with(output, "in8=");
  EXPECT_EQ(number(line, "in8"), 0xff);
  EXPECT_EQ(number(line, "in16"), 0xffff);
  EXPECT_EQ(number(line, "in32"), 0xffffffff);
  EXPECT_EQ(number(line, "ins"), 0xffffffff);
  EXPECT_TRUE(output.ends_with("done\n")) << output;
}

TEST_F(ChipTest, PortsBearEveryWidthWithAllChipsPresent) {
  const std::string output =
      output_of({.guest = "ports", .flags = {"--exit-port", "--boot-timer"}});
  EXPECT_TRUE(output.ends_with("done\n")) << output;
}

TEST_F(ChipTest, AddressesWithoutADeviceReadAsOnes) {
  const std::string output = output_of({.guest = "mmio"});
  const auto lines = lines_with(output, "at=");
  ASSERT_EQ(lines.size(), 3U) << output;
  for (const Fields& line : lines) {
    EXPECT_EQ(number(line, "read8"), 0xff) << output;
    EXPECT_EQ(number(line, "read16"), 0xffff) << output;
    EXPECT_EQ(number(line, "read32"), 0xffffffff) << output;
    EXPECT_EQ(number(line, "read64"), ~std::uint64_t{0}) << output;
  }
  EXPECT_TRUE(output.ends_with("done\n")) << output;
}

}  // namespace
}  // namespace mote::bare

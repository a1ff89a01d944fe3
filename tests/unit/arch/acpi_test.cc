// The ACPI tables as a kernel finds them: from the RSDP on, each with its checksum. The DSDT also
// goes through Intel's compiler where this host has it.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>

#include "arch/support.h"
#include "arch/x86_64/acpi/tables.h"
#include "arch/x86_64/layout.h"

namespace mote::arch::acpi {
namespace {

PlatformDevices all_devices() {
  PlatformDevices devices;
  for (std::uint32_t gsi = layout::kFirstDeviceGsi; gsi <= layout::kLastDeviceGsi; ++gsi) {
    devices.mmio.push_back({.base = layout::virtio_mmio_window(gsi - layout::kFirstDeviceGsi),
                            .size = layout::kVirtioMmioSize,
                            .gsi = gsi});
  }
  devices.vmgenid = {.address = layout::kVmGenId, .gsi = layout::kVmGenIdGsi};
  devices.vmclock = {.address = layout::kVmClock, .gsi = layout::kVmClockGsi};
  devices.com2 = true;
  return devices;
}

std::uint8_t sum(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint8_t>(std::accumulate(bytes.begin(), bytes.end(), 0U));
}

template <typename T>
T get(const Bytes& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

bool contains(const Bytes& bytes, const Bytes& part) {
  return !std::ranges::search(bytes, part).empty();
}
bool contains(const Bytes& bytes, std::string_view text) {
  return contains(bytes, Bytes(text.begin(), text.end()));
}

// The tables in guest memory by signature, found as a kernel finds them.
std::map<std::string, Bytes> walk(const memory::GuestMemory& memory) {
  std::map<std::string, Bytes> tables;
  const auto read_table = [&](std::uint64_t address) {
    const auto length = *memory.read<std::uint32_t>(address + 4);
    Bytes table = read_guest(memory, address, length);
    EXPECT_EQ(sum(table), 0) << address;
    EXPECT_GE(address, layout::kAcpiTables);
    EXPECT_LE(address + length, layout::kAcpiTablesEnd);
    EXPECT_EQ(address % 8, 0U);
    const std::string signature(table.begin(), table.begin() + 4);
    EXPECT_TRUE(tables.emplace(signature, table).second) << signature << " twice";
    return table;
  };
  const Bytes rsdp = read_guest(memory, layout::kRsdp, 36);
  EXPECT_EQ(std::string(rsdp.begin(), rsdp.begin() + 8), "RSD PTR ");
  EXPECT_EQ(sum(std::span(rsdp).first(20)), 0);
  EXPECT_EQ(sum(rsdp), 0);
  const Bytes xsdt = read_table(get<std::uint64_t>(rsdp, 24));
  for (std::size_t at = 36; at < xsdt.size(); at += 8) {
    const Bytes table = read_table(get<std::uint64_t>(xsdt, at));
    if (table[0] == 'F') read_table(get<std::uint64_t>(table, 140));
  }
  return tables;
}

std::map<std::string, Bytes> tables_of(unsigned cpus, const PlatformDevices& devices) {
  const auto memory = make_memory(2 * kTestMiB);
  const auto written = write_acpi_tables(memory, cpus, devices);
  EXPECT_TRUE(written) << error_of(written);
  return walk(memory);
}

TEST(AcpiTables, AreFoundFromTheRsdpWithGoodChecksums) {
  for (const unsigned cpus : {1U, 2U, 31U, 32U}) {
    for (const PlatformDevices& devices : {PlatformDevices{}, all_devices()}) {
      const auto tables = tables_of(cpus, devices);
      ASSERT_EQ(tables.size(), 4U);
      for (const char* signature : {"XSDT", "FACP", "APIC", "DSDT"}) {
        EXPECT_TRUE(tables.contains(signature)) << signature;
      }
    }
  }
}

TEST(AcpiTables, TakeOnePageAtTheMost) {
  const auto memory = make_memory(2 * kTestMiB);
  ASSERT_TRUE(write_acpi_tables(memory, layout::kMaxCpus, all_devices()));
  EXPECT_EQ(touched_pages(memory), 1U);
}

TEST(AcpiTables, LeaveTheGenerationIdentifierAlone) {
  const auto memory = make_memory(2 * kTestMiB);
  const Bytes identifier(layout::kVmGenIdSize, 0x5a);
  ASSERT_TRUE(memory.write(layout::kVmGenId, std::as_bytes(std::span(identifier))));
  ASSERT_TRUE(write_acpi_tables(memory, 2, all_devices()));
  EXPECT_EQ(read_guest(memory, layout::kVmGenId, layout::kVmGenIdSize), identifier);
}

TEST(Fadt, IsOfReducedHardwareAndSleepsByPorts) {
  const Bytes fadt = tables_of(1, {}).at("FACP");
  EXPECT_EQ(fadt.size(), 276U);
  EXPECT_NE(get<std::uint32_t>(fadt, 112) & 1U << 20, 0U) << "HW_REDUCED_ACPI";
  EXPECT_EQ(get<std::uint32_t>(fadt, 112) & 1U << 10, 0U) << "no reset register";
  EXPECT_NE(get<std::uint16_t>(fadt, 109) & 1U << 1, 0) << "keyboard controller";
  EXPECT_EQ(get<std::uint16_t>(fadt, 109) & 1U << 5, 0) << "the CMOS clock is there";
  EXPECT_EQ(get<std::uint32_t>(fadt, 244), 0x01000801U);
  EXPECT_EQ(get<std::uint64_t>(fadt, 248), layout::kSleepControlPort);
  EXPECT_EQ(get<std::uint32_t>(fadt, 256), 0x01000801U);
  EXPECT_EQ(get<std::uint64_t>(fadt, 260), layout::kSleepStatusPort);
}

TEST(Madt, CountsProcessorsAndTellsTheIoApic) {
  for (const unsigned cpus : {1U, 32U, 300U}) {
    const auto acpi = make_acpi_tables(cpus, {});
    ASSERT_TRUE(acpi) << error_of(acpi);
    const auto found = std::ranges::search(acpi->tables, std::string_view("APIC")).begin();
    const auto length = get<std::uint32_t>(Bytes(found, acpi->tables.end()), 4);
    const Bytes madt(found, found + length);
    EXPECT_EQ(get<std::uint32_t>(madt, 36), layout::kLocalApic);
    unsigned processors = 0;
    unsigned io_apics = 0;
    for (std::size_t at = 44; at < madt.size(); at += madt[at + 1]) {
      ASSERT_GT(madt[at + 1], 0);
      if (madt[at] == 0) {
        EXPECT_EQ(madt[at + 3], processors++);
        EXPECT_EQ(get<std::uint32_t>(madt, at + 4), 1U);
      } else if (madt[at] == 9) {
        EXPECT_GE(processors, 255U);
        EXPECT_EQ(get<std::uint32_t>(madt, at + 4), processors++);
      } else {
        EXPECT_EQ(madt[at], 1);
        EXPECT_EQ(get<std::uint32_t>(madt, at + 4), layout::kIoApic);
        ++io_apics;
      }
    }
    EXPECT_EQ(processors, cpus);
    EXPECT_EQ(io_apics, 1U);
  }
}

TEST(Dsdt, TellsOnlyTheDevicesThatAreThere) {
  const Bytes few = tables_of(1, {}).at("DSDT");
  EXPECT_TRUE(contains(few, "COM1"));
  EXPECT_TRUE(contains(few, "PS2_"));
  EXPECT_TRUE(contains(few, "RTC_"));
  EXPECT_FALSE(contains(few, "COM2"));
  EXPECT_FALSE(contains(few, "LNRO0005"));
  EXPECT_FALSE(contains(few, "VMGENCTR"));
  EXPECT_FALSE(contains(few, "ACPI0013"));
  const Bytes all = tables_of(1, all_devices()).at("DSDT");
  for (const char* name : {"COM2", "LNRO0005", "V000", "V010", "VMGENCTR", "ACPI0013"}) {
    EXPECT_TRUE(contains(all, name)) << name;
  }
}

// \_S5 says 5, which in the sleep control register is what the sleep chip waits for.
TEST(Dsdt, TellsHowToPowerOff) {
  const Bytes dsdt = tables_of(1, {}).at("DSDT");
  EXPECT_TRUE(contains(dsdt, Bytes{0x08, '\\', '_', 'S', '5', '_', 0x12, 7, 4, 0x0a, 5, 0, 0, 0}));
  EXPECT_EQ(layout::kSleepControlS5, 0x34);
}

TEST(AcpiTables, RefuseDevicesThatCannotBe) {
  const auto message_of = [](const PlatformDevices& devices) {
    return error_of(make_acpi_tables(1, devices));
  };
  EXPECT_NE(message_of({.mmio = {{.base = 0xc0001000, .size = 0x1000, .gsi = 24}}}).find("GSI 24"),
            std::string::npos);
  EXPECT_NE(message_of({.mmio = {{.base = 0xfffff000, .size = 0x1001, .gsi = 5}}}).find("4 GiB"),
            std::string::npos);
  EXPECT_NE(message_of({.mmio = {{.base = 1ULL << 32, .size = 1, .gsi = 5}}}).find("4 GiB"),
            std::string::npos);
  EXPECT_NE(message_of({.mmio = {{.base = 0, .size = UINT64_MAX, .gsi = 5}}}).find("4 GiB"),
            std::string::npos);
  EXPECT_NE(message_of({.mmio = {{.base = 0xc0001000, .size = 0, .gsi = 5}}}).find("0x0 bytes"),
            std::string::npos);
  PlatformDevices devices;
  devices.vmgenid = {.address = 0xe0041, .gsi = 5};
  EXPECT_NE(message_of(devices).find("aligned"), std::string::npos);
  devices.vmgenid = {.address = 0xe0040, .gsi = 99};
  EXPECT_NE(message_of(devices).find("GSI 99"), std::string::npos);
  PlatformDevices clock;
  for (const std::uint64_t address : {std::uint64_t{0xff800}, std::uint64_t{1} << 32}) {
    clock.vmclock = {.address = address, .gsi = 22};
    EXPECT_NE(message_of(clock).find("clock page"), std::string::npos) << address;
  }
  clock.vmclock = {.address = 0xff000, .gsi = 24};
  EXPECT_NE(message_of(clock).find("GSI 24"), std::string::npos);
  EXPECT_FALSE(make_acpi_tables(0, {}));
  EXPECT_FALSE(make_acpi_tables(20'000, {})) << "more than the area below 1 MiB holds";
}

// Runs iasl in `directory`; its status and output.
std::pair<int, std::string> run_iasl(const std::filesystem::path& directory,
                                     const std::string& arguments) {
  const std::string command =
      fmt::format("cd '{}' && iasl {} > log 2>&1", directory.string(), arguments);
  const int status = std::system(command.c_str());
  std::ifstream log(directory / "log");
  std::stringstream text;
  text << log.rdbuf();
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text.str()};
}

class Iasl : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v iasl > /dev/null 2>&1") != 0) {
      GTEST_SKIP() << "iasl is not here (package acpica-tools)";
    }
    std::string pattern = testing::TempDir() + "acpi-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }
  std::filesystem::path directory_;
};

// Taken apart and put together again: iasl finds nothing wrong, and the AML that it makes is ours.
TEST_F(Iasl, FindsNoFaultInTheTables) {
  for (const auto& [signature, table] : tables_of(32, all_devices())) {
    std::ofstream(directory_ / (signature + ".dat"), std::ios::binary)
        .write(reinterpret_cast<const char*>(table.data()),
               static_cast<std::streamsize>(table.size()));
    const auto [status, log] = run_iasl(directory_, fmt::format("-d {}.dat", signature));
    EXPECT_EQ(status, 0) << log;
    for (const char* complaint : {"Error", "Warning", "Invalid", "ncorrect", "nknown"}) {
      EXPECT_EQ(log.find(complaint), std::string::npos) << signature << ": " << log;
    }
    EXPECT_TRUE(std::filesystem::exists(directory_ / (signature + ".dsl"))) << log;
  }
  // 6035: VMGENCTR, which Linux looks for, has not the form of an ACPI identifier.
  const auto [status, log] = run_iasl(directory_, "-oa -vw 6035 -p again DSDT.dsl");
  EXPECT_EQ(status, 0) << log;
  EXPECT_NE(log.find("0 Errors, 0 Warnings"), std::string::npos) << log;
  std::ifstream again(directory_ / "again.aml", std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(again)), {});
  const Bytes ours = tables_of(32, all_devices()).at("DSDT");
  ASSERT_EQ(content.size(), ours.size());
  // The header tells who made it; the code behind it is the same.
  EXPECT_EQ(Bytes(content.begin() + 36, content.end()), Bytes(ours.begin() + 36, ours.end()));
}

}  // namespace
}  // namespace mote::arch::acpi

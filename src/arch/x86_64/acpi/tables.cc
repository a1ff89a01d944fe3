#include "arch/x86_64/acpi/tables.h"

#include <string_view>

#include "arch/x86_64/acpi/dsdt.h"
#include "arch/x86_64/layout.h"

namespace mote::arch::acpi {
namespace {

constexpr std::string_view kOem = "MOTE";
constexpr std::string_view kOemTable = "MICROVM";
constexpr std::size_t kHeaderSize = 36;
constexpr std::size_t kChecksumAt = 9;
constexpr std::size_t kTableAlignment = 8;

// A table with the header that all have (section 5.2.6).
Bytes make_table(std::string_view signature, std::uint8_t revision, const Bytes& content) {
  Bytes bytes;
  append_text(bytes, signature, 4);
  append(bytes, static_cast<std::uint32_t>(kHeaderSize + content.size()));
  append(bytes, revision);
  append(bytes, std::uint8_t{0});  // checksum, below
  append_text(bytes, kOem, 6);
  append_text(bytes, kOemTable, 8);
  append(bytes, std::uint32_t{1});
  append_text(bytes, kOem, 4);
  append(bytes, std::uint32_t{1});
  append(bytes, content);
  bytes[kChecksumAt] = checksum(bytes);
  return bytes;
}

// A byte-wide I/O port as a generic address (section 5.2.3.2).
void put_port(Bytes& table, std::size_t at, std::uint16_t port) {
  constexpr std::uint8_t kSystemIo = 1;
  constexpr std::uint8_t kByteAccess = 1;
  table[at] = kSystemIo;
  table[at + 1] = 8;
  table[at + 2] = 0;
  table[at + 3] = kByteAccess;
  put(table, at + 4, std::uint64_t{port});
}

// Section 5.2.9. Fields that a machine with reduced hardware has no use for are 0.
Bytes make_fadt(std::uint64_t dsdt) {
  constexpr std::uint8_t kRevision = 6;
  constexpr std::size_t kSize = 276;
  constexpr std::size_t kBootArchitectureAt = 109;
  constexpr std::size_t kFlagsAt = 112;
  constexpr std::size_t kMinorRevisionAt = 131;
  constexpr std::size_t kXDsdtAt = 140;
  constexpr std::size_t kSleepControlAt = 244;
  constexpr std::size_t kSleepStatusAt = 256;
  constexpr std::size_t kHypervisorAt = 268;
  // Legacy devices and a keyboard controller are there, VGA is not.
  constexpr std::uint16_t kBootArchitecture = 1 << 0 | 1 << 1 | 1 << 2;
  // WBINVD works; no fixed power or sleep button; reduced hardware.
  constexpr std::uint32_t kFlags = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 20;
  Bytes whole(kSize);
  put(whole, kBootArchitectureAt, kBootArchitecture);
  put(whole, kFlagsAt, kFlags);
  whole[kMinorRevisionAt] = 3;
  put(whole, kXDsdtAt, dsdt);
  put_port(whole, kSleepControlAt, layout::kSleepControlPort);
  put_port(whole, kSleepStatusAt, layout::kSleepStatusPort);
  std::ranges::copy(std::string_view("MOTEKVM"), whole.begin() + kHypervisorAt);
  return make_table("FACP", kRevision, Bytes(whole.begin() + kHeaderSize, whole.end()));
}

// Section 5.2.12. Interrupt lines are wired one to one, so no override is told.
Bytes make_madt(unsigned cpus) {
  constexpr std::uint8_t kRevision = 5;
  constexpr std::uint32_t kEnabled = 1;
  constexpr unsigned kFirstX2ApicOnly = 255;
  Bytes content;
  append(content, static_cast<std::uint32_t>(layout::kLocalApic));
  append(content, std::uint32_t{0});
  for (unsigned id = 0; id < cpus; ++id) {
    if (id < kFirstX2ApicOnly) {
      append(content, Bytes{0, 8, static_cast<std::uint8_t>(id), static_cast<std::uint8_t>(id)});
      append(content, kEnabled);
    } else {
      append(content, Bytes{9, 16, 0, 0});
      append(content, std::uint32_t{id});
      append(content, kEnabled);
      append(content, std::uint32_t{id});
    }
  }
  append(content, Bytes{1, 12, 0, 0});  // the I/O APIC, whose id is 0
  append(content, static_cast<std::uint32_t>(layout::kIoApic));
  append(content, std::uint32_t{0});  // its first GSI
  return make_table("APIC", kRevision, content);
}

// Section 5.2.5.3.
Bytes make_rsdp(std::uint64_t xsdt) {
  constexpr std::uint8_t kRevision = 2;
  constexpr std::size_t kSize = 36;
  constexpr std::size_t kFirstSize = 20;  // what revision 0 had, with a checksum of its own
  constexpr std::size_t kFirstChecksumAt = 8;
  constexpr std::size_t kWholeChecksumAt = 32;
  Bytes bytes;
  append_text(bytes, "RSD PTR ", 8);
  append(bytes, std::uint8_t{0});
  append_text(bytes, kOem, 6);
  append(bytes, kRevision);
  append(bytes, std::uint32_t{0});  // no RSDT
  append(bytes, static_cast<std::uint32_t>(kSize));
  append(bytes, xsdt);
  bytes.resize(kSize);
  bytes[kFirstChecksumAt] = checksum(std::span(bytes).first(kFirstSize));
  bytes[kWholeChecksumAt] = checksum(bytes);
  return bytes;
}

Result<void> check_gsi(std::uint32_t gsi) {
  if (gsi < layout::kIoApicPins) return {};
  return fail(ErrorKind::kInternal, "a device on GSI {}; the I/O APIC has 0 to {}", gsi,
              layout::kIoApicPins - 1);
}

Result<void> check(unsigned cpus, const PlatformDevices& devices) {
  if (cpus == 0) return fail(ErrorKind::kInvalid, "a machine needs a vCPU");
  for (const MmioDevice& mmio : devices.mmio) {
    MOTE_CHECK(check_gsi(mmio.gsi));
    if (mmio.size == 0 || mmio.base > UINT32_MAX || mmio.size > UINT32_MAX - mmio.base) {
      return fail(ErrorKind::kInternal, "a device window of {:#x} bytes at {:#x}, not below 4 GiB",
                  mmio.size, mmio.base);
    }
  }
  if (devices.vmgenid) {
    MOTE_CHECK(check_gsi(devices.vmgenid->gsi));
    if (devices.vmgenid->address % 8 != 0) {
      return fail(ErrorKind::kInternal, "a generation identifier at {:#x}, not aligned to 8 bytes",
                  devices.vmgenid->address);
    }
  }
  if (devices.vmclock) {
    MOTE_CHECK(check_gsi(devices.vmclock->gsi));
    const std::uint64_t address = devices.vmclock->address;
    if (address % layout::kVmClockSize != 0 || address > UINT32_MAX) {
      return fail(ErrorKind::kInternal, "a clock page at {:#x}, not aligned or not below 4 GiB",
                  address);
    }
  }
  return {};
}

}  // namespace

Result<AcpiTables> make_acpi_tables(unsigned cpus, const PlatformDevices& devices) {
  MOTE_CHECK(check(cpus, devices));
  AcpiTables acpi;
  // Puts a table behind the others; its guest address.
  const auto place = [&acpi](const Bytes& table) {
    const std::size_t at =
        (acpi.tables.size() + kTableAlignment - 1) / kTableAlignment * kTableAlignment;
    acpi.tables.resize(at);
    append(acpi.tables, table);
    return layout::kAcpiTables + at;
  };
  static_assert(layout::kAcpiTables % kTableAlignment == 0);
  const std::uint64_t dsdt = place(make_table("DSDT", 2, make_dsdt(devices)));
  Bytes pointers;
  append(pointers, place(make_fadt(dsdt)));
  append(pointers, place(make_madt(cpus)));
  acpi.rsdp = make_rsdp(place(make_table("XSDT", 1, pointers)));
  if (acpi.tables.size() > layout::kAcpiTablesEnd - layout::kAcpiTables) {
    return fail(ErrorKind::kInvalid, "the ACPI tables take {} bytes; there is room for {}",
                acpi.tables.size(), layout::kAcpiTablesEnd - layout::kAcpiTables);
  }
  return acpi;
}

Result<void> write_acpi_tables(const memory::GuestMemory& memory, unsigned cpus,
                               const PlatformDevices& devices) {
  MOTE_TRY(const AcpiTables acpi, make_acpi_tables(cpus, devices));
  MOTE_CHECK(memory.write(layout::kRsdp, std::as_bytes(std::span(acpi.rsdp))));
  return memory.write(layout::kAcpiTables, std::as_bytes(std::span(acpi.tables)));
}

}  // namespace mote::arch::acpi

#include "arch/x86_64/mptable.h"

#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

// Entry types and values: MP specification, chapter 4.
constexpr std::uint8_t kProcessor = 0;
constexpr std::uint8_t kBus = 1;
constexpr std::uint8_t kIoApicEntry = 2;
constexpr std::uint8_t kIoInterrupt = 3;
constexpr std::uint8_t kLocalInterrupt = 4;

constexpr std::uint8_t kSpecification = 4;  // 1.4
constexpr std::uint8_t kLocalApicVersion = 0x14;
constexpr std::uint8_t kIoApicVersion = 0x11;
constexpr std::uint8_t kEnabled = 1;
constexpr std::uint8_t kBootProcessor = 2;
constexpr std::uint32_t kCpuSignature = 0x600;
constexpr std::uint32_t kCpuFeatures = 1 << 0 | 1 << 9;  // FPU, APIC
constexpr std::uint8_t kIsaBus = 0;

constexpr std::uint8_t kTypeInt = 0;
constexpr std::uint8_t kTypeNmi = 1;
constexpr std::uint8_t kTypeExtInt = 3;
constexpr std::uint16_t kConformsToBus = 0;  // polarity and trigger: ISA's, high and edge
constexpr std::uint8_t kAllLocalApics = 0xff;

constexpr std::size_t kLengthAt = 4;
constexpr std::size_t kChecksumAt = 7;
constexpr std::size_t kCountAt = 34;
constexpr std::size_t kPointerSize = 16;

Bytes make_pointer(std::uint64_t table) {
  Bytes bytes;
  append_text(bytes, "_MP_", 4);
  append(bytes, static_cast<std::uint32_t>(table));
  append(bytes, std::uint8_t{kPointerSize / 16});
  append(bytes, kSpecification);
  bytes.resize(kPointerSize);
  bytes[10] = checksum(bytes);
  return bytes;
}

Bytes make_header() {
  Bytes bytes;
  append_text(bytes, "PCMP", 4);
  append(bytes, std::uint16_t{0});  // length, later
  append(bytes, kSpecification);
  append(bytes, std::uint8_t{0});  // checksum, later
  append_text(bytes, "MOTE", 8);
  append_text(bytes, "MICROVM", 12);
  append(bytes, std::uint32_t{0});  // no table of the maker's
  append(bytes, std::uint16_t{0});
  append(bytes, std::uint16_t{0});  // count of entries, later
  append(bytes, static_cast<std::uint32_t>(layout::kLocalApic));
  append(bytes, std::uint32_t{0});
  return bytes;
}

void append_processor(Bytes& bytes, unsigned id) {
  append(bytes, kProcessor);
  append(bytes, static_cast<std::uint8_t>(id));
  append(bytes, kLocalApicVersion);
  append(bytes, static_cast<std::uint8_t>(kEnabled | (id == 0 ? kBootProcessor : 0)));
  append(bytes, kCpuSignature);
  append(bytes, kCpuFeatures);
  append(bytes, std::uint64_t{0});
}

// An interrupt's way from a line of the ISA bus to a pin of an I/O or local APIC.
void append_interrupt(Bytes& bytes, std::uint8_t entry, std::uint8_t type, std::uint8_t line,
                      std::uint8_t apic, std::uint8_t pin) {
  append(bytes, entry);
  append(bytes, type);
  append(bytes, kConformsToBus);
  append(bytes, kIsaBus);
  append(bytes, line);
  append(bytes, apic);
  append(bytes, pin);
}

}  // namespace

Result<Bytes> make_mp_table(std::uint64_t address, unsigned cpus) {
  if (cpus < 1 || cpus > layout::kMaxCpus) {
    return fail(ErrorKind::kInvalid, "{} vCPUs: an MP table tells of 1 to {}", cpus,
                layout::kMaxCpus);
  }
  const auto io_apic = static_cast<std::uint8_t>(cpus);  // ids of processors and others are one set
  Bytes table = make_header();
  for (unsigned id = 0; id < cpus; ++id) append_processor(table, id);
  append(table, kBus);
  append(table, kIsaBus);
  append_text(table, "ISA", 6);
  append(table, kIoApicEntry);
  append(table, io_apic);
  append(table, kIoApicVersion);
  append(table, kEnabled);
  append(table, static_cast<std::uint32_t>(layout::kIoApic));
  for (unsigned line = 0; line < layout::kIoApicPins; ++line) {
    const auto pin = static_cast<std::uint8_t>(line);
    append_interrupt(table, kIoInterrupt, kTypeInt, pin, io_apic, pin);
  }
  append_interrupt(table, kLocalInterrupt, kTypeExtInt, 0, 0, 0);
  append_interrupt(table, kLocalInterrupt, kTypeNmi, 0, kAllLocalApics, 1);
  const std::size_t entries = cpus + 2 + layout::kIoApicPins + 2;
  put(table, kLengthAt, static_cast<std::uint16_t>(table.size()));
  put(table, kCountAt, static_cast<std::uint16_t>(entries));
  table[kChecksumAt] = checksum(table);

  Bytes bytes = make_pointer(address + kPointerSize);
  append(bytes, table);
  return bytes;
}

}  // namespace mote::arch

#include "arch/x86_64/acpi/dsdt.h"

#include <fmt/format.h>

#include "arch/x86_64/acpi/aml.h"
#include "arch/x86_64/layout.h"

namespace mote::arch::acpi {
namespace {

Bytes virtio_mmio(const MmioDevice& mmio, unsigned index) {
  return device(fmt::format("V{:03X}", index),
                {name("_HID", text("LNRO0005")), name("_UID", integer(index)),
                 name("_CCA", integer(1)),  // its memory accesses are coherent
                 name("_CRS", resources({memory32(static_cast<std::uint32_t>(mmio.base),
                                                  static_cast<std::uint32_t>(mmio.size)),
                                         edge_interrupt(mmio.gsi)}))});
}

Bytes serial_port(std::string_view path, unsigned uid, std::uint16_t port, std::uint32_t gsi) {
  constexpr std::uint8_t kPorts = 8;
  return device(path, {name("_HID", eisa_id("PNP0501")), name("_UID", integer(uid)),
                       name("_CRS", resources({io_ports(port, kPorts), edge_interrupt(gsi)}))});
}

Bytes keyboard() {
  return device("PS2_", {name("_HID", eisa_id("PNP0303")),
                         name("_CRS", resources({io_ports(0x60, 1), io_ports(0x64, 1),
                                                 edge_interrupt(layout::kKeyboardGsi)}))});
}

// Without an interrupt: the clock rings no alarm.
Bytes clock() {
  return device("RTC_",
                {name("_HID", eisa_id("PNP0B00")), name("_CRS", resources({io_ports(0x70, 2)}))});
}

// "Virtual Machine Generation ID", Microsoft: ADDR holds the two halves of the address. The name is
// the one that Linux looks for, though no ACPI identifier has that form.
Bytes generation_id(const VmGenIdDevice& vmgenid) {
  return device("VGEN", {name("_HID", text("VMGENCTR")), name("_CID", text("VM_Gen_Counter")),
                         name("_DDN", text("VM_Gen_Counter")),
                         name("ADDR", package({integer(vmgenid.address & UINT32_MAX),
                                               integer(vmgenid.address >> 32)}))});
}

// Linux's ptp_vmclock looks for this identifier; its page is a resource.
Bytes clock_page(const VmClockDevice& vmclock) {
  return device(
      "VCLK",
      {name("_HID", text("AMZNC10C")), name("_CID", text("VMCLOCK")), name("_DDN", text("VMCLOCK")),
       name("_CRS", resources({memory32(static_cast<std::uint32_t>(vmclock.address),
                                        layout::kVmClockSize)}))});
}

// The generic event device (ACPI 6.5, section 5.6.9): the method of its interrupts tells those
// devices that have none of their own.
Bytes event_device(const PlatformDevices& devices) {
  constexpr std::uint64_t kChanged = 0x80;
  std::vector<Bytes> lines;
  std::vector<Bytes> events;
  const auto add = [&](std::uint32_t gsi, std::string_view path) {
    lines.push_back(edge_interrupt(gsi));
    events.push_back(if_equal(argument(0), integer(gsi), {notify(path, kChanged)}));
  };
  if (devices.vmgenid) add(devices.vmgenid->gsi, "\\_SB.VGEN");
  if (devices.vmclock) add(devices.vmclock->gsi, "\\_SB.VCLK");
  return device("GED_", {name("_HID", text("ACPI0013")), name("_CRS", resources(lines)),
                         method("_EVT", 1, true, events)});
}

}  // namespace

Bytes make_dsdt(const PlatformDevices& devices) {
  std::vector<Bytes> terms;
  terms.push_back(serial_port("COM1", 1, layout::kCom1Port, layout::kCom1Gsi));
  if (devices.com2) terms.push_back(serial_port("COM2", 2, layout::kCom2Port, layout::kCom2Gsi));
  terms.push_back(keyboard());
  terms.push_back(clock());
  unsigned index = 0;
  for (const MmioDevice& mmio : devices.mmio) terms.push_back(virtio_mmio(mmio, index++));
  if (devices.vmgenid) terms.push_back(generation_id(*devices.vmgenid));
  if (devices.vmclock) terms.push_back(clock_page(*devices.vmclock));
  if (devices.vmgenid || devices.vmclock) terms.push_back(event_device(devices));
  Bytes bytes = scope("\\_SB", terms);
  append(bytes, name("\\_S5",
                     package({integer(layout::kSleepTypeS5), integer(0), integer(0), integer(0)})));
  return bytes;
}

}  // namespace mote::arch::acpi

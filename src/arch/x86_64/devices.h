// What of the machine's devices the firmware tables (ACPI, MP) tell the guest.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace mote::arch {

// A virtio-mmio window: LNRO0005 in ACPI, virtio_mmio.device= on the command line.
struct MmioDevice {
  std::uint64_t base = 0;  // below 4 GiB
  std::uint64_t size = 0;  // at most 4 GiB
  std::uint32_t gsi = 0;   // edge-triggered
};

// The generation identifier: 16 bytes in guest memory, written by the device, and the line by which
// it says that they changed.
struct VmGenIdDevice {
  std::uint64_t address = 0;  // aligned to 8
  std::uint32_t gsi = 0;
};

// The page that tells of disruptions of time, and the line by which it says that there was one.
struct VmClockDevice {
  std::uint64_t address = 0;  // of a whole page below 4 GiB
  std::uint32_t gsi = 0;
};

struct PlatformDevices {
  std::vector<MmioDevice> mmio{};
  std::optional<VmGenIdDevice> vmgenid{};
  std::optional<VmClockDevice> vmclock{};
  bool com2 = false;  // a second 16550; the first is always there
};

}  // namespace mote::arch

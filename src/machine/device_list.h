// The virtio devices that a configuration asks for, whatever their kinds, as one list.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machine/config.h"

namespace mote::machine {

struct ListedDevice {
  std::size_t kind = 0;          // its line in virtio::kDeviceKinds
  std::string_view section;      // of the configuration: "drives"
  std::string id;                // among its kind; empty where there is one at most
  std::string name;              // for people: "drive 'rootfs'"
  bool root = false;             // holds the guest's root filesystem
  const void* config = nullptr;  // the kind's Config, inside the VmConfig
};

// The devices of `config`, which outlives the list, in the order in which the guest finds them:
// section by section, and of each the root device first, so that a root drive is /dev/vda.
std::vector<ListedDevice> list_devices(const VmConfig& config);

// Each device by itself, and what must hold between devices: ids that are distinct within their
// kind, one root device. Errors begin with the section.
Result<void> check_devices(const VmConfig& config);
// No more than kMaxDevices.
Result<void> check_device_count(const VmConfig& config);

}  // namespace mote::machine

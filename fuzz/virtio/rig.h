// A rig is what a kind of virtio device needs to be fuzzed: the device over a fake backend, what
// its drivers ask of it, and what happens behind its back. Guest does the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/input.h"
#include "virtio/device.h"

namespace mote::fuzz {

// A chain as a driver would make it: buffers for the device to read, and the lengths of those that
// it fills.
struct Request {
  std::vector<std::string> in{};
  std::vector<std::uint32_t> out{};
};

// A Request to queue `queue` that every device which is well answers when it is kicked.
struct Probe {
  std::uint16_t queue = 0;
  Request request;
};

class DeviceRig {
 public:
  virtual ~DeviceRig() = default;

  virtual virtio::Device& device() = 0;
  // A request to `queue` that gets past the device's first look, mostly.
  virtual Request request(Input& input, std::uint16_t queue) = 0;
  // The backend fails, delivers or finishes something; time passes.
  virtual void happen(Input& /*input*/) {}
  // The device, stopped, saves itself and is made again from its state.
  virtual void restore() {}
  // The backend is well again.
  virtual void heal() {}
  virtual std::optional<Probe> probe() { return std::nullopt; }
};

// The rig of device D: constructed from (Input&, const virtio::DeviceServices&). A kind of
// virtio/kinds.h without one does not compile in tests/unit/fuzz.
template <typename D>
class Rig;

// The bytes of a struct, as a buffer.
template <typename T>
std::string bytes_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

}  // namespace mote::fuzz

// Device is what every virtio device is to its transport, and all that a transport knows of it.
// A device does not know its transport. All calls are made on the thread that owns the device, the
// machine thread, or in its stead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "memory/address_space.h"
#include "memory/guest_memory.h"
#include "virtio/queue/queue.h"

namespace mote::network {
class Link;
}

namespace mote::virtio {

// What a device is, fixed for its life.
struct DeviceTraits {
  std::uint32_t type = 0;                  // VIRTIO_ID_*
  std::uint64_t features = 0;              // its own; the ring's are the transport's to offer
  std::vector<std::uint16_t> queue_sizes;  // the largest size of each queue
  std::uint32_t config_size = 0;           // bytes of configuration space
  // Another process runs the queues (vhost-user): it has their kicks and raises their interrupts,
  // by the descriptors that Queue::wiring() names, and kick() comes at a start alone.
  bool queues_elsewhere = false;
  // Of the ring's own features those that whoever runs the queues knows.
  std::uint64_t ring_features = kRingFeatures;
};

// What a device is given of its machine, beside its configuration. All outlive the device.
struct DeviceServices {
  EventLoop& loop;  // of the thread that owns the device
  const memory::GuestMemory& memory;
  memory::AddressSpace& space;  // where a device puts memory that it brings
  // What the machine puts in front of the link of the interface with this id; null: nothing, for
  // none.
  std::function<std::unique_ptr<network::Link>(std::string_view id,
                                               std::unique_ptr<network::Link> link)>
      in_front_of_link = {};
};

//        start (each queue)              stop (each queue)
//   idle ------------------> running ------------------> idle    (then reset(), when the driver
//                            kick...                              or the machine asked for one)
//
// Pause, reset and snapshot are all "stop": the device hands its queues back with nothing in
// flight, and gets them, or new ones, at the next start.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceTraits traits() const = 0;

  // Copies out configuration space; [offset, offset + into.size()) is inside
  // DeviceTraits::config_size. The transport keeps a copy and answers the driver from it, so a
  // change needs its config_changed().
  virtual void read_config(std::uint32_t offset, std::span<std::byte> into) const = 0;
  // The driver wrote configuration space, inside as above. False: nothing there can be written,
  // which is the default.
  virtual bool write_config(std::uint32_t /*offset*/, std::span<const std::byte> /*from*/) {
    return false;
  }

  // Takes queue `index`, which is not started. An error: the device cannot run, and the driver is
  // told that it needs a reset.
  virtual Result<void> start(std::uint16_t index, Queue queue) = 0;
  // Gives queue `index` back with nothing in flight, waiting for what is; empty: it was not
  // started.
  virtual std::optional<Queue> stop(std::uint16_t index) = 0;
  // The driver says that queue `index` has something, or the queue asked for it. May come for
  // nothing, also when the queue is not started.
  virtual void kick(std::uint16_t index) = 0;
  // A kick that came by KickRoute::kHere: on a thread of a vCPU, which stands in for the machine
  // thread meanwhile. True: all that waited is answered. False: what it left is for kick(), which
  // follows. For what takes no longer than to wake a thread.
  virtual bool kick_here(std::uint16_t /*index*/) { return false; }
  // The driver reset the device; all queues are stopped.
  virtual void reset() {}

  // Whom config_changed() and config_refreshed() tell: the transport, for as long as it has the
  // device.
  void set_config_listener(std::function<void()> changed, std::function<void()> refreshed = {}) {
    config_listener_ = std::move(changed);
    refresh_listener_ = std::move(refreshed);
  }
  // Whom failed() tells: the same.
  void set_failure_listener(std::function<void(const Error&)> listener) {
    failure_listener_ = std::move(listener);
  }

 protected:
  // For the device: what read_config() answers is another by now, and the driver is to hear of it.
  void config_changed() const {
    if (config_listener_) config_listener_();
  }
  // As config_changed(), where the driver knows: it asked for what has changed.
  void config_refreshed() const {
    if (refresh_listener_) refresh_listener_();
  }
  // For the device, outside of start() and stop(): it cannot go on before the driver resets it. Its
  // queues are stopped when this returns.
  void failed(const Error& error) const {
    if (failure_listener_) failure_listener_(error);
  }

 private:
  std::function<void()> config_listener_;
  std::function<void()> refresh_listener_;
  std::function<void(const Error&)> failure_listener_;
};

}  // namespace mote::virtio

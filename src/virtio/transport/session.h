// Session is what every transport keeps between a driver and a device: status, negotiated features,
// the queues' set-up, configuration space, and the device's life from start to reset. A transport
// (mmio, pci) only maps its registers to it.
//
// Threads: the registers may be used from any thread and are under one mutex, which is never held
// while guest memory or the device is touched. The device, and all that is said to be so below,
// belongs to the machine thread; a register write that starts, stops or resets the device is run
// there, and its writer waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/failure_log.h"
#include "base/sync.h"
#include "base/unique_fd.h"
#include "memory/guest_memory.h"
#include "virtio/device.h"
#include "virtio/transport/metrics.h"
#include "virtio/transport/state.h"

namespace mote::virtio {

// Runs a task on the machine thread and returns when it is done; called on the machine thread, it
// runs the task at once.
using RunOnMachineThread = std::function<void(const std::function<void()>&)>;
// Runs a task here in the machine thread's stead, where that one is idle: what it answers. False
// where it is not.
using RunInItsStead = std::function<bool(const std::function<bool()>&)>;
// As QueueHost::route_kicks(), with the queue's eventfd.
using RouteKicks = std::function<bool(std::uint16_t queue, int notify_fd, KickRoute route)>;

// How a transport interrupts the driver. From any thread.
class InterruptSink {
 public:
  virtual ~InterruptSink() = default;
  virtual void queue_interrupt(std::uint16_t queue) = 0;
  // The same on the thread of a vCPU that stands in for the machine thread.
  virtual void queue_interrupt_here(std::uint16_t queue) { queue_interrupt(queue); }
  virtual void config_interrupt() = 0;
  // As QueueHost::one_interrupt().
  virtual bool one_interrupt() const { return false; }
  // An eventfd that does what queue_interrupt() does; -1: there is none.
  virtual int queue_interrupt_fd(std::uint16_t /*queue*/) const { return -1; }
  // The device was reset: what is pending is void.
  virtual void clear() = 0;
  // What the registers say is another, and not by a write to them that is under way: for
  // transports that keep a copy for the driver.
  virtual void changed() {}
};

// Which of a queue's three areas, or which half of an address.
enum class QueueArea { kDescriptors, kDriver, kDevice };
enum class AddressHalf { kLow, kHigh };

class Session final : private QueueHost {
 public:
  struct Parts {
    std::string name;          // for the log, such as "drive 'rootfs'"
    Device* device = nullptr;  // outlives the session, as do the others
    const memory::GuestMemory* memory = nullptr;
    InterruptSink* interrupts = nullptr;
    RunOnMachineThread run;
    RunInItsStead run_here = {};  // none: it is never idle
    RouteKicks route_kicks = {};  // none: they come as events
  };

  // Errors: no descriptors left for the queues' eventfds. On the machine thread.
  static Result<std::unique_ptr<Session>> create(Parts parts);
  // A session as it was saved, paused; resume() goes on. Errors (kInvalid): a state that does not
  // fit the device, or its memory.
  static Result<std::unique_ptr<Session>> restore(Parts parts, const SessionState& state);
  // On the machine thread, when nobody uses the registers any more.
  ~Session() override;

  // Registers, from any thread. A setter is false, and counted, when it was refused.
  // ----------------------------------------------------------------------------------------------

  std::uint32_t device_type() const { return traits_.type; }
  std::uint16_t queue_count() const { return static_cast<std::uint16_t>(notify_.size()); }
  // Word `word` (0: bits 0 to 31) of what is offered.
  std::uint32_t device_features(std::uint32_t word) const;
  // Heard between DRIVER and FEATURES_OK.
  bool set_driver_features(std::uint32_t word, std::uint32_t value) EXCLUDES(mutex_);
  std::uint8_t status() const EXCLUDES(mutex_);
  bool write_status(std::uint32_t value) EXCLUDES(mutex_);

  // 0 when there is no such queue.
  std::uint32_t queue_max_size(std::uint32_t queue) const;
  // Queues are set up between FEATURES_OK and DRIVER_OK; what is set is checked at the start.
  bool set_queue_size(std::uint32_t queue, std::uint32_t size) EXCLUDES(mutex_);
  bool set_queue_address(std::uint32_t queue, QueueArea area, AddressHalf half, std::uint32_t value)
      EXCLUDES(mutex_);
  // 1 offers the queue to the device. 0 takes it back, also from one that runs.
  bool set_queue_ready(std::uint32_t queue, std::uint32_t value) EXCLUDES(mutex_);
  bool queue_ready(std::uint32_t queue) const EXCLUDES(mutex_);
  // The driver kicks `queue`: has it served here, or signals its eventfd.
  bool notify(std::uint32_t queue) EXCLUDES(mutex_);

  // False, and counted, when not all of it is inside configuration space, or nothing there can be
  // written.
  bool read_config(std::uint64_t offset, std::span<std::byte> into) EXCLUDES(mutex_);
  bool write_config(std::uint64_t offset, std::span<const std::byte> from) EXCLUDES(mutex_);
  std::uint32_t config_generation() const EXCLUDES(mutex_);
  // Bytes of configuration space.
  std::uint32_t config_size() const { return traits_.config_size; }

  // Counts an access that the transport made nothing of.
  void count_bad_access() { ++metrics_.cfg_fails; }
  const TransportMetrics& metrics() const { return metrics_; }

  // On the machine thread
  // ----------------------------------------------------------------------------------------------

  // The eventfd of `queue`, signalled when the driver kicks. Whoever watches it, for edges since
  // nobody reads it, calls handle_notify().
  int notify_fd(std::uint16_t queue) const { return notify_[queue].get(); }
  void handle_notify(std::uint16_t queue) EXCLUDES(mutex_);
  // The device's configuration space is another: tells the driver.
  void config_changed() EXCLUDES(mutex_);
  // Takes the device's queues, with nothing in flight, until resume(). Registers stay usable.
  void pause() EXCLUDES(mutex_);
  void resume() EXCLUDES(mutex_);
  // Needs pause(), else kState.
  Result<SessionState> save() const EXCLUDES(mutex_);

 private:
  struct QueueSetup {
    QueueAddresses addresses;
    bool ready = false;
  };

  Session(Parts parts, DeviceTraits traits, std::vector<UniqueFd> notify);

  // QueueHost, on the machine thread
  void used(std::uint16_t queue) override;
  bool one_interrupt() const override;
  void broken(std::uint16_t queue, const Error& error) override;
  void again(std::uint16_t queue) override;
  bool route_kicks(std::uint16_t queue, KickRoute route) override {
    return parts_.route_kicks && parts_.route_kicks(queue, notify_fd(queue), route);
  }
  int kick_fd(std::uint16_t queue) const override { return notify_fd(queue); }
  int interrupt_fd(std::uint16_t queue) const override {
    return parts_.interrupts->queue_interrupt_fd(queue);
  }

  bool refuse() REQUIRES(mutex_);
  QueueSetup* queue_in_setup(std::uint32_t queue) REQUIRES(mutex_);
  void clear_registers() REQUIRES(mutex_);
  bool accept_features() REQUIRES(mutex_);
  void copy_config() REQUIRES(thread_) EXCLUDES(mutex_);
  void next_generation() REQUIRES(thread_) EXCLUDES(mutex_);

  QueueContext context(std::uint16_t queue, std::uint64_t features);
  Result<void> load(const SessionState& state) REQUIRES(thread_) EXCLUDES(mutex_);
  bool start_by_driver() REQUIRES(thread_) EXCLUDES(mutex_);
  Result<void> start_queues(const std::vector<QueueSetup>& queues, std::uint64_t features)
      REQUIRES(thread_);
  void stop_queues() REQUIRES(thread_);
  std::optional<Queue> take_back(std::uint16_t index) REQUIRES(thread_);
  bool stop_one(std::uint16_t queue) REQUIRES(thread_) EXCLUDES(mutex_);
  void reset_by_driver() REQUIRES(thread_) EXCLUDES(mutex_);
  void kick(std::uint16_t queue) REQUIRES(thread_);
  bool kick_here(std::uint16_t queue) REQUIRES(thread_);
  void kick_all() REQUIRES(thread_);
  void report(std::string_view what, const Error& error) REQUIRES(thread_);
  void needs_reset() REQUIRES(thread_) EXCLUDES(mutex_);
  void device_failed(const Error& error) REQUIRES(thread_) EXCLUDES(mutex_);

  const Parts parts_;
  const DeviceTraits traits_;
  const std::uint64_t offered_;         // features
  const std::vector<UniqueFd> notify_;  // one a queue

  ThreadRole thread_;                         // the machine thread
  bool running_ GUARDED_BY(thread_) = false;  // the device has its queues, or would but for a pause
  bool paused_ GUARDED_BY(thread_) = false;
  bool broken_ GUARDED_BY(thread_) = false;   // nothing but a reset helps
  bool kicking_ GUARDED_BY(thread_) = false;  // the device is inside kick()
  bool here_ GUARDED_BY(thread_) = false;     // or inside kick_here()
  log::FailureLog failures_ GUARDED_BY(thread_);
  std::vector<std::optional<Queue>> parked_ GUARDED_BY(thread_);  // while paused

  mutable Mutex mutex_;
  std::uint8_t status_ GUARDED_BY(mutex_) = 0;
  std::uint64_t driver_features_ GUARDED_BY(mutex_) = 0;
  bool stray_features_ GUARDED_BY(mutex_) = false;  // acknowledged beyond bit 63
  std::vector<QueueSetup> queues_ GUARDED_BY(mutex_);
  std::vector<std::byte> config_ GUARDED_BY(mutex_);  // a copy of the device's
  std::uint32_t generation_ GUARDED_BY(mutex_) = 0;
  TransportMetrics metrics_;
};

}  // namespace mote::virtio

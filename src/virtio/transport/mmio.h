// The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2): 4 KiB of registers in front of a device,
// and one interrupt.
//
// The driver's kicks take no exit: register kNotifyOffset as an ioeventfd of 4 bytes with the
// queue's index as datamatch on notify_fd(), watch it, and call handle_notify(). A write to it that
// comes as an exit does the same.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/sync.h"
#include "base/unique_fd.h"
#include "bus/bus.h"
#include "bus/interrupt.h"
#include "virtio/transport/session.h"

namespace mote::virtio {

class Mmio final : public bus::BusDevice, private InterruptSink {
 public:
  static constexpr std::uint64_t kSize = 4096;
  static constexpr std::uint64_t kNotifyOffset = 0x50;  // VIRTIO_MMIO_QUEUE_NOTIFY
  static constexpr std::uint64_t kAcknowledgeOffset = 0x64;

  struct Parts {
    std::string name;          // for the log, such as "drive 'rootfs'"
    Device* device = nullptr;  // outlives the transport, as do the others
    const memory::GuestMemory* memory = nullptr;
    bus::Interrupt* interrupt = nullptr;
    RunOnMachineThread run;
  };

  // As Session::create() and Session::restore(). On the machine thread.
  static Result<std::unique_ptr<Mmio>> create(Parts parts);
  static Result<std::unique_ptr<Mmio>> restore(Parts parts, const MmioState& state);
  ~Mmio() override;

  // Registers, from any thread. Registers are 4 bytes wide and aligned; configuration space, from
  // 0x100, is read and written in any width. What means nothing is counted, reads as ones, and is
  // not written.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

  // On the machine thread; as the session's.
  std::uint16_t queue_count() const { return session_->queue_count(); }
  int notify_fd(std::uint16_t queue) const { return session_->notify_fd(queue); }
  void handle_notify(std::uint16_t queue) { session_->handle_notify(queue); }
  // An eventfd for the commonest write of all, VIRTIO_MMIO_INT_VRING to kAcknowledgeOffset: whoever
  // signals it in place of that write spares the driver an exit to user space an interrupt.
  int acknowledge_fd() const { return acknowledge_.get(); }
  void config_changed() { session_->config_changed(); }
  void pause() { session_->pause(); }
  void resume() { session_->resume(); }
  Result<MmioState> save() const;

  TransportMetrics metrics() const { return session_->metrics(); }

 private:
  Mmio(bus::Interrupt& interrupt, bool queues_elsewhere, UniqueFd acknowledge)
      : interrupt_(interrupt),
        queues_elsewhere_(queues_elsewhere),
        acknowledge_(std::move(acknowledge)) {}
  static Result<std::unique_ptr<Mmio>> make(bus::Interrupt& interrupt, bool queues_elsewhere);

  void queue_interrupt(std::uint16_t queue) override;
  void config_interrupt() override;
  int queue_interrupt_fd(std::uint16_t /*queue*/) const override { return interrupt_.fd(); }
  void clear() override;
  Session::Parts session_parts(Parts parts);

  void raise(std::uint32_t bits) EXCLUDES(interrupt_mutex_);
  // What is pending, all acknowledgements counted.
  std::uint32_t pending() const EXCLUDES(interrupt_mutex_);
  void take_acknowledgements() const REQUIRES(interrupt_mutex_);

  // nullopt: nothing to read there.
  std::optional<std::uint32_t> read_register(std::uint64_t offset);
  void write_register(std::uint64_t offset, std::uint32_t value);
  void write_address(std::uint64_t offset, std::uint32_t value);

  bus::Interrupt& interrupt_;
  // Whoever runs the queues raises the interrupt without a word of its cause: each may be theirs.
  bool queues_elsewhere_;
  const UniqueFd acknowledge_;
  // Never held across anything that waits.
  mutable Mutex interrupt_mutex_;
  // Set before the interrupt is raised, taken back by the driver: each from its own thread. What
  // acknowledge_ has counted is taken back whenever somebody looks; it came before that look, and
  // the driver serves its queues after it, so no interrupt is lost by its being late.
  mutable std::uint32_t interrupt_status_ GUARDED_BY(interrupt_mutex_) = 0;
  // Which word or queue the next access means. A driver that selects from two CPUs at once gets
  // what it asked for.
  std::atomic<std::uint32_t> device_features_select_ = 0;
  std::atomic<std::uint32_t> driver_features_select_ = 0;
  std::atomic<std::uint32_t> queue_select_ = 0;
  std::unique_ptr<Session> session_;
};

}  // namespace mote::virtio

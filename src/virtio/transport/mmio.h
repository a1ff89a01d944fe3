// The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2): 4 KiB of registers in front of a device,
// and one interrupt.
//
// What can be read is in a page that the guest maps (RegisterPage), and only writes are exits.
//
// The driver's kicks take no exit to user space: register kNotifyOffset as an ioeventfd of 4 bytes
// with the queue's index as datamatch on notify_fd(), watch it for edges, and call
// handle_notify(). A write to it that comes as an exit does the same, unless the device answers it
// at once, which it may ask for (RouteKicks).
//
// Nor do its acknowledgements of used buffers: writes of VIRTIO_MMIO_INT_VRING to
// kAcknowledgeOffset mean nothing here and may be kept back. That bit of the interrupt status stays
// set from the first such interrupt to the reset: in memory that the driver reads by itself, it
// could not be cleared without taking back one that has been raised meanwhile. A driver that serves
// its queues when it is interrupted finds at most nothing to do.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/counters.h"
#include "base/sync.h"
#include "bus/bus.h"
#include "bus/interrupt.h"
#include "virtio/transport/register_page.h"
#include "virtio/transport/session.h"

namespace mote::virtio {

class Mmio final : public bus::BusDevice, private InterruptSink {
 public:
  static constexpr std::uint64_t kSize = RegisterPage::kSize;
  static constexpr std::uint64_t kNotifyOffset = 0x50;  // VIRTIO_MMIO_QUEUE_NOTIFY
  static constexpr std::uint64_t kAcknowledgeOffset = 0x64;

  struct Parts {
    std::string name;          // for the log, such as "drive 'rootfs'"
    Device* device = nullptr;  // outlives the transport, as do the others
    const memory::GuestMemory* memory = nullptr;
    bus::Interrupt* interrupt = nullptr;
    RunOnMachineThread run;
    RunInItsStead run_here = {};  // these two as the session's
    RouteKicks route_kicks = {};
    std::byte* page = nullptr;  // a RegisterPage's memory, which the guest has as this window
  };

  // As Session::create() and Session::restore(); also an error is a device with more configuration
  // space than the page has room for. On the machine thread.
  static Result<std::unique_ptr<Mmio>> create(Parts parts);
  static Result<std::unique_ptr<Mmio>> restore(Parts parts, const MmioState& state);
  ~Mmio() override;

  // Registers, from any thread. They are written in 4 bytes, aligned; configuration space, from
  // 0x100, in any width. A write that means nothing is counted. Reading is looking at the page, in
  // any width; where nothing is, there are ones.
  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

  // On the machine thread; as the session's.
  std::uint16_t queue_count() const { return session_->queue_count(); }
  int notify_fd(std::uint16_t queue) const { return session_->notify_fd(queue); }
  void handle_notify(std::uint16_t queue) { session_->handle_notify(queue); }
  void config_changed() { session_->config_changed(); }
  void pause() { session_->pause(); }
  void resume() { session_->resume(); }
  Result<MmioState> save() const;

  TransportMetrics metrics() const {
    TransportMetrics counts = session_->metrics();
    counts.interrupts = interrupts_;
    return counts;
  }

 private:
  explicit Mmio(const Parts& parts);
  static Result<std::unique_ptr<Mmio>> make(const Parts& parts);

  void queue_interrupt(std::uint16_t queue) override;
  void queue_interrupt_here(std::uint16_t queue) override;
  void config_interrupt() override;
  bool one_interrupt() const override { return true; }
  int queue_interrupt_fd(std::uint16_t /*queue*/) const override { return interrupt_.fd(); }
  void clear() override;
  void changed() override { show(); }
  Session::Parts session_parts(Parts parts);

  // Brings the page up to what the registers and configuration space are, but for the interrupt
  // status, which is nowhere else.
  void show() EXCLUDES(show_mutex_);
  std::atomic_ref<std::uint32_t> interrupt_status() const;
  void note_used();
  void write_register(std::uint64_t offset, std::uint32_t value);
  void write_address(std::uint64_t offset, std::uint32_t value);

  bus::Interrupt& interrupt_;
  // Bits of the interrupt status that are always set: whoever runs the queues elsewhere raises the
  // interrupt without a word of its cause, so each may be theirs.
  const std::uint32_t always_;
  const RegisterPage page_;
  // Whoever shows last shows the newest.
  Mutex show_mutex_;
  Counter interrupts_;
  // Which word or queue the next access means. A driver that selects from two CPUs at once gets
  // what it asked for.
  std::atomic<std::uint32_t> device_features_select_ = 0;
  std::atomic<std::uint32_t> driver_features_select_ = 0;
  std::atomic<std::uint32_t> queue_select_ = 0;
  std::unique_ptr<Session> session_;
};

}  // namespace mote::virtio

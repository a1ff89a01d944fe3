// PostedWrites lets KVM take a guest's writes to a port without leaving for us each time
// (KVM_CAP_COALESCED_PIO): they wait in a ring until deliver(). That is called before any exit is
// answered, so a guest that asks a chip finds its own writes done; nobody hears of writes that no
// exit follows, so whoever posts a port calls deliver() now and then.
#pragma once

#include <linux/kvm.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/sync.h"
#include "kvm/kvm.h"

namespace mote::kvm {

// The writes that wait, in memory that KVM fills: `first` is where we take, `last` where KVM puts.
class PostedRing {
 public:
  using Sink = std::function<void(std::uint16_t port, std::span<const std::byte> data)>;

  explicit PostedRing(Sink sink) : sink_(std::move(sink)) {}

  // Takes from `page`, a page that KVM fills; empty: from nowhere. It may change at any time.
  void use(std::span<std::byte> page) EXCLUDES(mutex_);
  // Gives the sink what waits, in order. From any thread; when it returns, all that waited when it
  // was called has been taken, by whomever.
  void deliver() EXCLUDES(mutex_) {
    kvm_coalesced_mmio_ring* ring = ring_.load(std::memory_order_acquire);
    if (ring != nullptr && waits(*ring)) deliver_locked();
  }

 private:
  static bool waits(kvm_coalesced_mmio_ring& ring) {
    return std::atomic_ref(ring.first).load(std::memory_order_acquire) !=
           std::atomic_ref(ring.last).load(std::memory_order_acquire);
  }
  void deliver_locked() EXCLUDES(mutex_);

  const Sink sink_;
  std::atomic<kvm_coalesced_mmio_ring*> ring_ = nullptr;
  Mutex mutex_;  // held while the sink is called, so that nobody passes another's write
};

class PostedWrites {
 public:
  // `vm` outlives it.
  PostedWrites(const Vm& vm, PostedRing::Sink sink) : vm_(vm), ring_(std::move(sink)) {}

  // Which vCPU's mapping has the ring; it stays until close().
  void set_vcpu(const Vcpu& vcpu) { vcpu_ = &vcpu; }
  // Posts writes to `port` from now on. Errors: KVM cannot.
  Result<void> begin(std::uint16_t port);
  // No longer, and delivers what was. Nothing happens where the port is not posted.
  void end(std::uint16_t port);
  void deliver() { ring_.deliver(); }
  // Delivers the last, and lets the vCPU go. While no vCPU runs.
  void close();

 private:
  const Vm& vm_;
  const Vcpu* vcpu_ = nullptr;
  PostedRing ring_;
};

}  // namespace mote::kvm

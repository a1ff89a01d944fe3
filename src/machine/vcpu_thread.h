// VcpuThread runs one vCPU on a thread of its own: KVM_RUN, and a dispatch of each exit to the
// buses. It starts parked.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/worker.h"
#include "bus/bus.h"
#include "devices/end.h"
#include "kvm/kvm.h"
#include "machine/rendezvous.h"

namespace mote::machine {

// What a vCPU left KVM for, counted.
struct VcpuMetrics {
  std::atomic<std::uint64_t> exit_io_in = 0;
  std::atomic<std::uint64_t> exit_io_out = 0;
  std::atomic<std::uint64_t> exit_mmio_read = 0;
  std::atomic<std::uint64_t> exit_mmio_write = 0;
  std::atomic<std::uint64_t> failures = 0;
};

// What a vCPU's exits lead to. All outlive its thread.
struct VcpuContext {
  const bus::Bus& ports;
  const bus::Bus& mmio;
  Rendezvous& rendezvous;
  // Takes the end that an exit tells of, on the vCPU's thread.
  devices::EndSink end;
  // Told, on the vCPU's thread, that it has stopped.
  std::function<void()> stopped;
};

class VcpuThread {
 public:
  // Runs vCPU `index`, parked at first, on a thread of its own: on `worker`'s where there is one.
  static Result<std::unique_ptr<VcpuThread>> start(kvm::Vcpu vcpu, unsigned index,
                                                   VcpuContext context,
                                                   std::unique_ptr<Worker> worker);
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;

  // The thread must have been ordered to stop before the end.
  // Makes the thread look at the order in force. From any thread.
  void kick();
  // The vCPU; while its thread is parked, or has stopped.
  const kvm::Vcpu& vcpu() const { return vcpu_; }
  const VcpuMetrics& metrics() const { return metrics_; }

 private:
  VcpuThread(kvm::Vcpu vcpu, unsigned index, VcpuContext context)
      : vcpu_(std::move(vcpu)), index_(index), context_(std::move(context)) {}

  void main();
  // Lets KVM finish an exit that was answered, so that the vCPU's registers are whole. Runs no
  // guest code.
  void finish_exit();
  void run_until_exit();
  void handle_exit();
  void handle_port();
  void handle_mmio();
  void handle_system_event();
  void fail_with(std::string message);

  kvm::Vcpu vcpu_;
  const unsigned index_;
  const VcpuContext context_;
  std::atomic<bool> stopped_ = false;
  bool has_run_ = false;  // its own thread's
  VcpuMetrics metrics_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace mote::machine

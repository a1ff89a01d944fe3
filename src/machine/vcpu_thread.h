// VcpuThread runs one vCPU on a thread of its own: KVM_RUN, and a dispatch of each exit to the
// buses. It starts parked.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "base/result.h"
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

class VcpuThread {
 public:
  // Starts the thread of vCPU `index`, parked. The references outlive it. `end` is called once at
  // most by it, on its thread, when the guest ends the machine by an exit.
  static Result<std::unique_ptr<VcpuThread>> start(kvm::Vcpu vcpu, unsigned index,
                                                   const bus::Bus& ports, const bus::Bus& mmio,
                                                   Rendezvous& rendezvous, devices::EndSink end);
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;
  // The thread must have been ordered to stop.
  ~VcpuThread();

  // Makes the thread look at the order in force. From any thread.
  void kick();
  // The vCPU; while its thread is parked, or has stopped.
  const kvm::Vcpu& vcpu() const { return vcpu_; }
  const VcpuMetrics& metrics() const { return metrics_; }

 private:
  VcpuThread(kvm::Vcpu vcpu, unsigned index, const bus::Bus& ports, const bus::Bus& mmio,
             Rendezvous& rendezvous, devices::EndSink end);

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
  const bus::Bus& ports_;
  const bus::Bus& mmio_;
  Rendezvous& rendezvous_;
  devices::EndSink end_;
  bool has_run_ = false;  // its own thread's
  VcpuMetrics metrics_;
  std::thread thread_;
};

}  // namespace mote::machine

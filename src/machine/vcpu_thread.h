// VcpuThread runs one vCPU on a thread of its own: KVM_RUN, and a dispatch of each exit to the
// buses.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/worker.h"
#include "bus/bus.h"
#include "devices/end.h"
#include "kvm/kvm.h"
#include "kvm/posted_writes.h"
#include "machine/rendezvous.h"
#include "machine/vcpu_metrics.h"

namespace mote::machine {

// What a vCPU's exits lead to. All outlive its thread.
struct VcpuContext {
  const bus::Bus& ports;
  const bus::Bus& mmio;
  kvm::PostedWrites& posted;
  Rendezvous& rendezvous;
  // Takes the end that an exit tells of, on the vCPU's thread.
  devices::EndSink end;
  // Told, on the vCPU's thread, that it has stopped.
  std::function<void()> stopped;
};

class VcpuThread {
 public:
  // What gives a vCPU its identity. It runs on the vCPU's own thread: several do it side by side,
  // and KVM need not carry the vCPU over to another processor afterwards.
  using SetUp = std::function<Result<void>(const kvm::Vcpu& vcpu, unsigned index)>;

  // vCPU `index`, without a thread yet.
  VcpuThread(kvm::Vcpu vcpu, unsigned index, VcpuContext context)
      : vcpu_(std::move(vcpu)), index_(index), context_(std::move(context)) {}
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;
  // A thread that was started must have been ordered to stop.
  ~VcpuThread() = default;

  // Starts the thread on `set_up`, where there is one; then it follows the order in force. A set-up
  // that fails ends the VM. `thread`: one that is there already, for when it has done what it does
  // now. Errors: the host has no thread for it.
  Result<void> start(SetUp set_up, std::unique_ptr<Worker> thread = nullptr);
  bool started() const { return thread_ != nullptr; }
  // Where the vCPU enters the guest when it is first let run. Before that.
  void enter_at(const kvm_regs& regs, const kvm_sregs& sregs) { entry_ = {regs, sregs}; }
  // Makes the thread look at the order in force. From the machine thread.
  void kick();
  // The vCPU, whole; while its thread is parked, has stopped or was not started.
  Result<const kvm::Vcpu*> settled();
  const kvm::Vcpu& vcpu() const { return vcpu_; }
  // Tells the guest's clock that the vCPU was paused. While it is.
  void note_pause();
  const VcpuMetrics& metrics() const { return metrics_; }

 private:
  struct Entry {
    kvm_regs regs;
    kvm_sregs sregs;
  };

  void main(const SetUp& set_up);
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
  std::optional<Entry> entry_;      // handed over with the order to run
  std::unique_ptr<Worker> thread_;  // ends before all that it uses
};

}  // namespace mote::machine

// HeadStart is the part of a launch that needs no configuration: KVM is opened, and the thread on
// which the first vCPU will run asks for KVM's CPUID. On a host that is a guest itself each leaf is
// an exit, so the question takes longer than anything else of a launch; whoever asks it early need
// not wait for the answer.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/worker.h"
#include "kvm/kvm.h"
#include "machine/processors.h"

namespace mote::machine {

struct HeadStart {
  using NewVm = Answer<Result<kvm::Vm>>;

  // Errors: there is no KVM, or no thread to be had.
  static Result<HeadStart> make();
  // The thread does not ask, and nobody is to wait for `cpuid` before ask().
  static Result<HeadStart> make_unasked();
  // Likewise; the thread makes a VM, for whoever has much to read before it needs one.
  static Result<HeadStart> make_with_vm();
  // Has `thread`, which is the first, ask now: once the VM has its slots and controllers, whose
  // grace periods end late while a processor is busy with the answer.
  void ask(Worker& thread) const;

  std::shared_ptr<const kvm::Kvm> kvm;
  std::shared_ptr<SupportedCpuid> cpuid;
  std::shared_ptr<NewVm> vm = {};  // null: none was asked for
  // Kept off the processor on which this was made. It is to roam before its maker sleeps: the other
  // processor may be busy.
  std::unique_ptr<Worker> first_thread = {};

 private:
  Worker::Task question() const;
};

}  // namespace mote::machine

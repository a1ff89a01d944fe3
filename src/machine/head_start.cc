#include "machine/head_start.h"

#include <utility>

namespace mote::machine {

Result<HeadStart> HeadStart::make() { return make(true, nullptr); }

Result<HeadStart> HeadStart::make_unasked() { return make(false, nullptr); }

Result<HeadStart> HeadStart::make_with_vm() { return make(true, std::make_shared<NewVm>()); }

Result<HeadStart> HeadStart::make(bool asks, std::shared_ptr<NewVm> vm) {
  MOTE_TRY(kvm::Kvm opened, kvm::Kvm::open());
  HeadStart made{.kvm = std::make_shared<const kvm::Kvm>(std::move(opened)),
                 .cpuid = std::make_shared<SupportedCpuid>(),
                 .vm = std::move(vm)};
  if (!asks) {
    MOTE_TRY(made.first_thread, Worker::start(ThreadKind::kVcpu));
    return made;
  }
  Worker::Task before;
  if (made.vm) before = [kvm = made.kvm, vm = made.vm] { vm->give(kvm->create_vm()); };
  // Beside whoever launches, not before or behind them.
  MOTE_TRY(made.first_thread,
           Worker::start_elsewhere(
               ThreadKind::kVcpu,
               [kvm = made.kvm, cpuid = made.cpuid] { cpuid->give(kvm->supported_cpuid()); },
               std::move(before)));
  return made;
}

}  // namespace mote::machine

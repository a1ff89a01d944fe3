#include "machine/head_start.h"

#include <utility>

namespace mote::machine {

namespace {

// With nothing asked yet, and no thread.
Result<HeadStart> open() {
  MOTE_TRY(kvm::Kvm opened, kvm::Kvm::open());
  return HeadStart{.kvm = std::make_shared<const kvm::Kvm>(std::move(opened)),
                   .cpuid = std::make_shared<SupportedCpuid>()};
}

}  // namespace

// Its thread is beside whoever launches, not before or behind them.
Result<HeadStart> HeadStart::make() {
  MOTE_TRY(HeadStart made, open());
  MOTE_TRY(made.first_thread, Worker::start_elsewhere(ThreadKind::kVcpu, made.question()));
  return made;
}

Result<HeadStart> HeadStart::make_unasked() {
  MOTE_TRY(HeadStart made, open());
  MOTE_TRY(made.first_thread, Worker::start(ThreadKind::kVcpu));
  return made;
}

Result<HeadStart> HeadStart::make_with_vm() {
  MOTE_TRY(HeadStart made, open());
  made.vm = std::make_shared<NewVm>();
  MOTE_TRY(made.first_thread,
           Worker::start_elsewhere(ThreadKind::kVcpu, {},
                                   [kvm = made.kvm, vm = made.vm] { vm->give(kvm->create_vm()); }));
  return made;
}

void HeadStart::ask(Worker& thread) const { thread.run(question()); }

Worker::Task HeadStart::question() const {
  return [kvm = kvm, cpuid = cpuid] { cpuid->give(kvm->supported_cpuid()); };
}

}  // namespace mote::machine

#include "machine/head_start.h"

#include <utility>

namespace mote::machine {

Result<HeadStart> HeadStart::make() {
  MOTE_TRY(kvm::Kvm opened, kvm::Kvm::open());
  auto kvm = std::make_shared<const kvm::Kvm>(std::move(opened));
  auto cpuid = std::make_shared<SupportedCpuid>();
  MOTE_TRY(auto thread,
           Worker::start(ThreadKind::kVcpu, [kvm, cpuid] { cpuid->give(kvm->supported_cpuid()); }));
  // Beside whoever launches, not before or behind them.
  thread->keep_off_this_processor();
  return HeadStart{
      .kvm = std::move(kvm), .cpuid = std::move(cpuid), .first_thread = std::move(thread)};
}

}  // namespace mote::machine

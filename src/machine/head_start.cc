#include "machine/head_start.h"

#include <utility>

namespace mote::machine {

Result<HeadStart> HeadStart::make(bool asks) {
  MOTE_TRY(kvm::Kvm opened, kvm::Kvm::open());
  auto kvm = std::make_shared<const kvm::Kvm>(std::move(opened));
  auto cpuid = std::make_shared<SupportedCpuid>();
  if (!asks) {
    MOTE_TRY(auto idle, Worker::start(ThreadKind::kVcpu));
    return HeadStart{
        .kvm = std::move(kvm), .cpuid = std::move(cpuid), .first_thread = std::move(idle)};
  }
  // Beside whoever launches, not before or behind them.
  MOTE_TRY(auto thread, Worker::start_elsewhere(ThreadKind::kVcpu, [kvm, cpuid] {
             cpuid->give(kvm->supported_cpuid());
           }));
  return HeadStart{
      .kvm = std::move(kvm), .cpuid = std::move(cpuid), .first_thread = std::move(thread)};
}

}  // namespace mote::machine

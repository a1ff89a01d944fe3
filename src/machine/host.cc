#include "machine/host.h"

namespace mote::machine {

Result<std::unique_ptr<Host>> Host::open() {
  MOTE_TRY(kvm::Kvm kvm, kvm::Kvm::open());
  MOTE_CHECK(kvm.require_capabilities());
  std::unique_ptr<Host> host(new Host(std::move(kvm)));
  MOTE_TRY(host->worker_,
           Worker::start([self = host.get()] { self->cpuid_ = self->kvm_.supported_cpuid(); }));
  return host;
}

Result<std::vector<kvm_cpuid_entry2>> Host::take_cpuid() {
  worker_->wait();
  return std::move(*cpuid_);
}

}  // namespace mote::machine

// What a launch asks of the host whatever machine it makes. The CPUID leaves that KVM can give a
// guest are the dearest question of all (on a host that is a guest itself, each is an exit), so
// that they are asked for on a thread of their own, from before the configuration is read until
// they are wanted. The thread goes on as the first vCPU's.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/worker.h"
#include "kvm/kvm.h"

namespace mote::machine {

class Host {
 public:
  // Opens KVM, checks that it has all that mote needs, and begins to ask for the leaves.
  static Result<std::unique_ptr<Host>> open();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const kvm::Kvm& kvm() const { return kvm_; }
  // The leaves that KVM supports; waits for them. Once.
  Result<std::vector<kvm_cpuid_entry2>> take_cpuid();
  // After take_cpuid(), once each: the owner of /dev/kvm, and the thread that asked.
  kvm::Kvm take_kvm() { return std::move(kvm_); }
  std::unique_ptr<Worker> take_worker() { return std::move(worker_); }

 private:
  explicit Host(kvm::Kvm kvm) : kvm_(std::move(kvm)) {}

  kvm::Kvm kvm_;
  std::optional<Result<std::vector<kvm_cpuid_entry2>>> cpuid_;
  std::unique_ptr<Worker> worker_;  // ends before what it writes to
};

}  // namespace mote::machine

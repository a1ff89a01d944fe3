// Shell is what of a machine is the same for every guest, made before anybody asks for one: the VM
// with its controllers, processors with their threads, and slots for memory that is not there yet.
// A load into it pays for mapping memory and setting state.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "base/worker.h"
#include "kvm/kvm.h"
#include "machine/config.h"
#include "machine/head_start.h"
#include "memory/guest_memory.h"

namespace mote::machine {

class Shell {
 public:
  // For machines of `vcpus` (1 to kMaxVcpus) and `mem_size_mib` (1 to kMaxShellMib). Of others,
  // what fits is used, and the rest made when they are loaded. Errors as at a launch.
  static Result<std::unique_ptr<Shell>> make(unsigned vcpus, std::uint64_t mem_size_mib);

  // One whose VM, which `start` has or which is made now, has nothing yet.
  static Result<std::unique_ptr<Shell>> make_empty(HeadStart start);

  // Where RAM of these ranges is to be mapped, one address a range: the guest has slots there, and
  // nothing is mapped, so that KVM has nothing to forget. Empty: this is no room for it.
  std::vector<std::byte*> places(const std::vector<memory::Range>& ranges) const;

  // The parts, for the machine that is made of them. `vm` has `vcpus`, in order; where there are
  // none, it has nothing.
  HeadStart head_start;  // its thread is the first of `threads`
  kvm::Vm vm;
  std::vector<kvm::Vcpu> vcpus = {};
  std::vector<std::unique_ptr<Worker>> threads = {};
  // What each of `vcpus` was given: that of a machine without a template, which most have.
  std::vector<std::vector<kvm_cpuid_entry2>> cpuids = {};

  // Gives `made`, which was this one's VM, slots of `memory` where it has others.
  Result<void> give_memory(const kvm::Vm& made, const memory::GuestMemory& memory,
                           bool log_dirty_pages) const;

 private:
  Shell(HeadStart start, kvm::Vm made) : head_start(std::move(start)), vm(std::move(made)) {}
  Result<void> lay_slots();
  Result<void> prepare_vcpus(const MachineConfig& config);

  std::vector<memory::Range> ranges_;
  std::vector<std::byte*> places_;
};

}  // namespace mote::machine

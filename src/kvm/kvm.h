// Thin owners of KVM's descriptors: Kvm is /dev/kvm, Vm a virtual machine, Vcpu a virtual
// processor. Each method is one ioctl (Documentation/virt/kvm/api.rst of the kernel), with an error
// that names it.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_memory.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/guest_memory.h"

namespace mote::kvm {

class Vm;

// A capability that mote needs of KVM.
struct Capability {
  int number;
  const char* name;  // as in the kernel's headers, without KVM_CAP_
};
// Those without which no machine is made.
std::span<const Capability> needed_capabilities();

// A capability, by its number, that a machine needs besides those; or one of those that it does
// not need.
struct CapabilityChange {
  std::uint32_t number = 0;
  bool needed = true;
  bool operator==(const CapabilityChange&) const = default;
};

class Kvm {
 public:
  // Opens `path`. Errors say whether it is missing, forbidden, or not a KVM of API version 12.
  static Result<Kvm> open(const std::string& path = "/dev/kvm");

  // KVM_CHECK_EXTENSION: 0 when KVM lacks it.
  int check(int capability) const;
  // An error that names what KVM lacks of needed_capabilities(), as `changes` alter them; the last
  // change of a number counts.
  Result<void> require_capabilities(std::span<const CapabilityChange> changes = {}) const;
  // KVM_GET_SUPPORTED_CPUID.
  Result<std::vector<kvm_cpuid_entry2>> supported_cpuid() const;
  // KVM_GET_MSR_INDEX_LIST.
  Result<std::vector<std::uint32_t>> msr_indices() const;
  // KVM_CREATE_VM. It may be interrupted by a signal, and is then tried again.
  Result<Vm> create_vm() const;

  int fd() const { return fd_.get(); }

 private:
  Kvm(UniqueFd fd, std::size_t run_size) : fd_(std::move(fd)), run_size_(run_size) {}

  UniqueFd fd_;
  std::size_t run_size_ = 0;  // of the structure shared with each vCPU
};

// What KVM_RUN returned with.
enum class RunOutcome {
  kExit,         // kvm_run says why
  kInterrupted,  // by a signal or by immediate_exit
};

class Vcpu {
 public:
  // KVM_RUN. Errors are KVM's own; -EINTR and -EAGAIN are kInterrupted.
  Result<RunOutcome> run();
  // The structure shared with KVM, through which an exit is told and answered.
  kvm_run& shared() const { return *reinterpret_cast<kvm_run*>(run_.data()); }
  // The bytes of an exit's data, which lie `offset` bytes into the shared pages; empty when they
  // would pass the end.
  std::span<std::byte> shared_bytes(std::uint64_t offset, std::size_t length) const;

  // KVM_SET_CPUID2. Leaves of zeros are left out: the guest reads zeros there all the same.
  Result<void> set_cpuid(std::span<const kvm_cpuid_entry2> entries) const;
  Result<std::vector<kvm_cpuid_entry2>> cpuid() const;
  Result<kvm_regs> regs() const;
  Result<void> set_regs(const kvm_regs& regs) const;
  Result<kvm_sregs> sregs() const;
  Result<void> set_sregs(const kvm_sregs& sregs) const;
  // Has the next run() begin with these registers. KVM takes them from the shared structure then,
  // which spares two ioctls.
  void start_with(const kvm_regs& regs, const kvm_sregs& sregs) const;
  Result<kvm_lapic_state> lapic() const;
  Result<void> set_lapic(const kvm_lapic_state& lapic) const;
  // KVM_GET_MSRS for `indices`, as many as KVM reads: those that it refuses are left out.
  Result<std::vector<kvm_msr_entry>> msrs(std::span<const std::uint32_t> indices) const;
  // KVM_SET_MSRS; an error names the first one that KVM refused.
  Result<void> set_msrs(std::span<const kvm_msr_entry> entries) const;
  Result<kvm_mp_state> mp_state() const;
  Result<void> set_mp_state(const kvm_mp_state& state) const;
  Result<kvm_vcpu_events> events() const;
  Result<void> set_events(const kvm_vcpu_events& events) const;
  Result<kvm_debugregs> debugregs() const;
  Result<void> set_debugregs(const kvm_debugregs& registers) const;
  Result<kvm_xcrs> xcrs() const;
  Result<void> set_xcrs(const kvm_xcrs& xcrs) const;
  // KVM_GET_XSAVE2 of `size` bytes (KVM_CAP_XSAVE2 of the VM; 0: KVM_GET_XSAVE's 4096).
  Result<std::vector<std::byte>> xsave(std::size_t size) const;
  Result<void> set_xsave(std::span<const std::byte> state) const;
  // The virtual TSC's frequency.
  Result<std::uint32_t> tsc_khz() const;
  Result<void> set_tsc_khz(std::uint32_t khz) const;
  // What the guest's TSC has more than the host's (modulo 2^64), scaled. An error (kUnsupported):
  // KVM does not tell (before Linux 5.16).
  Result<std::uint64_t> tsc_offset() const;
  Result<void> set_tsc_offset(std::uint64_t offset) const;
  // KVM_KVMCLOCK_CTRL: tells the guest's watchdogs that it was paused. False: KVM would not; that
  // the guest has no kvmclock (yet) is no failure.
  bool note_pause() const;

 private:
  friend class Vm;
  Vcpu(UniqueFd fd, MappedMemory run) : fd_(std::move(fd)), run_(std::move(run)) {}

  UniqueFd fd_;
  MappedMemory run_;
};

class Vm {
 public:
  // Registers every region of `memory` as a memory slot, in order, from `first_slot`. Before the
  // irqchip and any ioeventfd: each of those leaves an SRCU grace period that the next change of a
  // slot waits out.
  Result<void> set_memory(const memory::GuestMemory& memory, bool log_dirty_pages,
                          std::uint32_t first_slot = 0) const;
  // KVM_SET_USER_MEMORY_REGION: whole pages from `host_address` on become guest memory at `range`;
  // `flags` are KVM_MEM_*. A slot that is there already is changed.
  Result<void> set_slot(std::uint32_t slot, const memory::Range& range, std::uintptr_t host_address,
                        std::uint32_t flags) const;
  // The same with size 0: removes the slot, which had `range`.
  Result<void> clear_slot(std::uint32_t slot, const memory::Range& range) const;
  // KVM_GET_DIRTY_LOG: which pages of a slot that logs them (KVM_MEM_LOG_DIRTY_PAGES) the guest
  // wrote since it was asked before, a bit a page; `words` has one for every 64, begun ones too.
  Result<void> take_dirty_log(std::uint32_t slot, std::span<std::uint64_t> words) const;
  // KVM_SET_TSS_ADDR and KVM_SET_IDENTITY_MAP_ADDR: three pages and one page of guest-physical
  // addresses without memory, which KVM needs to run real mode on Intel processors.
  Result<void> reserve_for_real_mode(std::uint64_t tss, std::uint64_t identity_map) const;
  // KVM_CREATE_IRQCHIP: two PICs, an IOAPIC, and a LAPIC for each vCPU.
  Result<void> create_irqchip() const;
  // KVM_CREATE_PIT2 with a dummy speaker port, where there is none yet.
  Result<void> create_pit() const;
  // KVM_CREATE_VCPU with APIC id `index`.
  Result<Vcpu> create_vcpu(std::uint32_t index) const;

  // KVM_IRQFD: an edge on `gsi` whenever the eventfd is signalled.
  Result<void> assign_irqfd(int eventfd, std::uint32_t gsi) const;
  // KVM_IRQ_LINE: raises and lowers `gsi`, an edge, which the controllers have when this returns.
  // For chips that interrupt seldom, as it costs nothing to set up and nothing at the VM's end,
  // unlike an irqfd; and for a vCPU's own thread, which wakes nobody by it. The line may have an
  // irqfd as well: whatever that one's worker is at, there is an edge after this was called. Calls
  // for one GSI must not overlap.
  void pulse_irq(std::uint32_t gsi) const;
  // KVM_IOEVENTFD at a guest-physical address: a write of 4 bytes equal to `datamatch` signals the
  // eventfd.
  Result<void> assign_ioeventfd(int eventfd, std::uint64_t address, std::uint32_t datamatch) const;
  // Takes one away that was assigned so: the writes are exits from now on. As all changes of what
  // KVM answers by itself it may wait for vCPUs that are inside KVM, as for a page of their memory.
  Result<void> unassign_ioeventfd(int eventfd, std::uint64_t address,
                                  std::uint32_t datamatch) const;

  // KVM_GET_IRQCHIP for chip 0 (PIC), 1 (second PIC) or 2 (IOAPIC).
  Result<kvm_irqchip> irqchip(std::uint32_t chip) const;
  Result<void> set_irqchip(const kvm_irqchip& chip) const;
  // KVM_GET_PIT2; nothing where none was made.
  Result<std::optional<kvm_pit_state2>> pit() const;
  Result<void> set_pit(const kvm_pit_state2& pit) const;
  Result<kvm_clock_data> clock() const;
  Result<void> set_clock(const kvm_clock_data& clock) const;
  // The TSC's frequency of vCPUs to be made, in kHz; with KVM_CAP_VM_TSC_CONTROL.
  Result<std::uint32_t> tsc_khz() const;
  int check(int capability) const;

  int fd() const { return fd_.get(); }

 private:
  friend class Kvm;
  Result<void> set_ioeventfd(int eventfd, std::uint64_t address, std::uint32_t datamatch,
                             std::uint32_t flags) const;
  Vm(UniqueFd fd, std::size_t run_size) : fd_(std::move(fd)), run_size_(run_size) {}

  UniqueFd fd_;
  std::size_t run_size_;
};

}  // namespace mote::kvm

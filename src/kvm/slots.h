// The memory slots of a VM, for devices that bring memory of their own.
#pragma once

#include <map>

#include "kvm/kvm.h"
#include "memory/address_space.h"

namespace mote::kvm {

class Slots final : public memory::SlotTable {
 public:
  // `vm` outlives it. With `log_dirty_pages`, KVM notes what the guest writes, as in RAM.
  Slots(const Vm& vm, bool log_dirty_pages) : vm_(vm), log_dirty_pages_(log_dirty_pages) {}

  Result<void> set(std::uint32_t number, const memory::Range& range, std::byte* host,
                   memory::Access access) override {
    const std::uint32_t flags = access == memory::Access::kRead ? KVM_MEM_READONLY
                                : log_dirty_pages_              ? KVM_MEM_LOG_DIRTY_PAGES
                                                                : 0;
    MOTE_CHECK(vm_.set_slot(number, range, reinterpret_cast<std::uintptr_t>(host), flags));
    if (flags == KVM_MEM_LOG_DIRTY_PAGES) logged_[number] = range;
    return {};
  }
  Result<void> clear(std::uint32_t number, const memory::Range& range) override {
    logged_.erase(number);
    return vm_.clear_slot(number, range);
  }
  // Those in which KVM notes what the guest writes, by number.
  const std::map<std::uint32_t, memory::Range>& logged() const { return logged_; }

 private:
  const Vm& vm_;
  bool log_dirty_pages_;
  std::map<std::uint32_t, memory::Range> logged_;
};

}  // namespace mote::kvm

// AddressSpace is where devices that bring memory of their own (persistent memory, memory that is
// plugged in) put it: which guest-physical addresses are free, and KVM's memory slots behind an
// interface. It belongs to the machine thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote::memory {

// The memory slots of a VM.
class SlotTable {
 public:
  virtual ~SlotTable() = default;
  // Gives the guest the host memory at `host` as `range`, under a number that is free. Pages that
  // the guest may only read (kRead): what it writes there has no effect.
  virtual Result<void> set(std::uint32_t number, const Range& range, std::byte* host,
                           Access access) = 0;
  // Takes it back. When it returns, no vCPU reaches the host memory any more.
  virtual Result<void> clear(std::uint32_t number, const Range& range) = 0;
};

class AddressSpace;

// Host memory that the guest has at an address for as long as this lives. Its AddressSpace outlives
// it.
class Slot {
 public:
  Slot() = default;
  Slot(Slot&& other) noexcept;
  Slot& operator=(Slot&& other) noexcept;
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot();

  explicit operator bool() const { return space_ != nullptr; }

 private:
  friend class AddressSpace;
  Slot(AddressSpace* space, std::uint32_t number, const Range& range)
      : space_(space), number_(number), range_(range) {}

  AddressSpace* space_ = nullptr;
  std::uint32_t number_ = 0;
  Range range_;
};

class AddressSpace {
 public:
  // The slots below are for RAM.
  static constexpr std::uint32_t kFirstSlot = 16;

  // Finds the addresses that may be given out, in this order; none of them has RAM.
  using FindWindows = std::function<std::vector<Range>()>;

  // `find_windows` is called when addresses are wanted for the first time: it may have to ask the
  // processor. `memory` and `slots` outlive the address space.
  AddressSpace(GuestMemory& memory, FindWindows find_windows, SlotTable& slots);
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // `size` bytes (more than 0) of addresses that nobody has, starting at a multiple of `alignment`
  // (a power of two). An error (kResource) when no window has so many left.
  Result<Range> reserve(std::uint64_t size, std::uint64_t alignment);
  // This very range, as a saved machine had it. Errors (kInvalid): it is taken or in no window.
  Result<void> reserve_at(const Range& range);

  // RAM, and what attach() adds to it.
  const GuestMemory& memory() const { return memory_; }
  // GuestMemory::attach(): lets devices find memory in a range that was reserved. The guest itself
  // needs a slot as well.
  Result<void> attach(DeviceRegion region) { return memory_.attach(std::move(region)); }

  // Gives the guest the `range.size` bytes at `host` as `range`, which was reserved or is in no
  // window. Whole pages.
  // Each change of slots waits for vCPUs to notice, which takes milliseconds once the VM has an
  // interrupt controller.
  Result<Slot> map(const Range& range, std::byte* host, Access access);

  // The guest runs no more: slots that die from now on are left to the end of the VM.
  void close() { closed_ = true; }

 private:
  friend class Slot;
  const std::vector<Range>& windows();
  void unmap(std::uint32_t number, const Range& range);

  GuestMemory& memory_;
  FindWindows find_windows_;
  std::optional<std::vector<Range>> windows_;
  std::vector<Range> taken_;  // in no order
  SlotTable& slots_;
  std::vector<std::uint32_t> free_slots_;
  std::uint32_t next_slot_ = kFirstSlot;
  bool closed_ = false;
};

}  // namespace mote::memory

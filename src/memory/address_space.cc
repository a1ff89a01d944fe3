#include "memory/address_space.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace mote::memory {
namespace {

bool overlap(const Range& one, const Range& other) {
  return one.start < other.end() && other.start < one.end();
}

bool inside(const Range& inner, const Range& outer) {
  return inner.start >= outer.start && inner.size <= outer.size &&
         inner.start - outer.start <= outer.size - inner.size;
}

}  // namespace

Slot::Slot(Slot&& other) noexcept
    : space_(std::exchange(other.space_, nullptr)), number_(other.number_), range_(other.range_) {}

Slot& Slot::operator=(Slot&& other) noexcept {
  std::swap(space_, other.space_);
  std::swap(number_, other.number_);
  std::swap(range_, other.range_);
  return *this;
}

Slot::~Slot() {
  if (space_ != nullptr) space_->unmap(number_, range_);
}

AddressSpace::AddressSpace(GuestMemory& memory, FindWindows find_windows, SlotTable& slots)
    : memory_(memory), find_windows_(std::move(find_windows)), slots_(slots) {}

const std::vector<Range>& AddressSpace::windows() {
  if (!windows_) windows_ = find_windows_();
  return *windows_;
}

Result<Range> AddressSpace::reserve(std::uint64_t size, std::uint64_t alignment) {
  for (const Range& window : windows()) {
    // The first place behind something taken, or at the window's start, that is free.
    std::vector<GuestAddress> starts{window.start};
    for (const Range& range : taken_) starts.push_back(range.end());
    std::ranges::sort(starts);
    for (const GuestAddress start : starts) {
      if (start > UINT64_MAX - alignment) continue;
      const Range candidate{.start = (start + alignment - 1) & ~(alignment - 1), .size = size};
      if (!inside(candidate, window)) continue;
      if (std::ranges::any_of(taken_,
                              [&](const Range& other) { return overlap(candidate, other); }))
        continue;
      taken_.push_back(candidate);
      return candidate;
    }
  }
  return fail(ErrorKind::kResource,
              "the address space of the guest has no {} MiB left: the processor's addresses end "
              "before",
              size >> 20);
}

Result<void> AddressSpace::reserve_at(const Range& range) {
  const bool known =
      std::ranges::any_of(windows(), [&](const Range& window) { return inside(range, window); });
  const bool taken =
      std::ranges::any_of(taken_, [&](const Range& other) { return overlap(range, other); });
  if (range.size == 0 || !known || taken) {
    return fail(ErrorKind::kInvalid, "{} bytes at {:#x} are {}", range.size, range.start,
                taken ? "taken by another device" : "not where devices have memory");
  }
  taken_.push_back(range);
  return {};
}

Result<Slot> AddressSpace::map(const Range& range, std::byte* host, Access access) {
  const bool recycled = !free_slots_.empty();
  const std::uint32_t number = recycled ? free_slots_.back() : next_slot_;
  MOTE_CHECK(slots_.set(number, range, host, access));
  if (recycled) {
    free_slots_.pop_back();
  } else {
    ++next_slot_;
  }
  return Slot(this, number, range);
}

void AddressSpace::unmap(std::uint32_t number, const Range& range) {
  if (closed_) return;
  if (auto cleared = slots_.clear(number, range); !cleared) {
    // The guest still has it, so the number must not be given to another.
    log::error("{}", cleared.error().text());
    return;
  }
  free_slots_.push_back(number);
}

}  // namespace mote::memory

// Which pages of guest memory were written.
#include "memory/guest_memory.h"

namespace mote::memory {

DirtyBitmap::DirtyBitmap(std::uint64_t bytes) : words_((bytes / kPageSize + 63) / 64) {}

void DirtyBitmap::mark(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  for (std::uint64_t page = offset / kPageSize; page <= (offset + length - 1) / kPageSize; ++page) {
    words_[page / 64].fetch_or(std::uint64_t{1} << (page % 64), std::memory_order_relaxed);
  }
}

bool DirtyBitmap::test(std::uint64_t page) const {
  return (words_[page / 64].load(std::memory_order_relaxed) >> (page % 64) & 1) != 0;
}

std::vector<std::uint64_t> DirtyBitmap::take() {
  std::vector<std::uint64_t> taken;
  taken.reserve(words_.size());
  for (auto& word : words_) taken.push_back(word.exchange(0, std::memory_order_relaxed));
  return taken;
}

void DirtyBitmap::merge(std::uint64_t first_page, std::span<const std::uint64_t> words) {
  for (std::size_t i = 0; i < words.size() && first_page / 64 + i < words_.size(); ++i) {
    if (words[i] != 0) words_[first_page / 64 + i].fetch_or(words[i], std::memory_order_relaxed);
  }
}

void DirtyBitmap::copy(std::uint64_t first_page, std::span<std::uint64_t> words) const {
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint64_t at = first_page / 64 + i;
    words[i] = at < words_.size() ? words_[at].load(std::memory_order_relaxed) : 0;
  }
}

void GuestMemory::merge_dirty(GuestAddress start, std::span<const std::uint64_t> words) const {
  const Region* region = region_at(start);
  if (region == nullptr || !region->dirty) return;
  region->dirty->merge((start - region->range.start) / kPageSize, words);
}

bool GuestMemory::dirty_pages(GuestAddress start, std::span<std::uint64_t> words) const {
  const Region* region = region_at(start);
  if (region == nullptr || !region->dirty) return false;
  region->dirty->copy((start - region->range.start) / kPageSize, words);
  return true;
}

void GuestMemory::mark_dirty(const Range& range) const {
  const Region* region = region_at(range.start);
  if (region == nullptr || !region->dirty || range.end() > region->range.end()) return;
  region->dirty->mark(range.start - region->range.start, range.size);
}

void GuestMemory::clear_dirty() const {
  for (const Region& region : regions_) {
    if (region.dirty) static_cast<void>(region.dirty->take());
  }
  for (const Attached* at = attached_->head.load(std::memory_order_acquire); at != nullptr;
       at = at->next.get()) {
    if (at->region.dirty) static_cast<void>(at->region.dirty->take());
  }
}

}  // namespace mote::memory

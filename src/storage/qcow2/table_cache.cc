#include "storage/qcow2/table_cache.h"

#include <algorithm>
#include <cstring>

namespace mote::storage::qcow2 {

std::uint32_t TableCache::take_slot() {
  if (slots_.size() < most_) {
    slots_.push_back({.bytes = std::make_unique<std::byte[]>(slice_size_)});
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  // The second chance: what was used since the hand's last turn stays for another.
  while (slots_[hand_].used) {
    slots_[hand_].used = false;
    hand_ = static_cast<std::uint32_t>((hand_ + 1) % slots_.size());
  }
  const std::uint32_t taken = hand_;
  hand_ = static_cast<std::uint32_t>((hand_ + 1) % slots_.size());
  if (slots_[taken].offset != 0) places_.erase(slots_[taken].offset);
  slots_[taken].offset = 0;
  return taken;
}

Result<std::span<const std::byte>> TableCache::slice(std::uint64_t offset) {
  if (last_ < slots_.size() && slots_[last_].offset == offset) {
    return std::span<const std::byte>(slots_[last_].bytes.get(), slice_size_);
  }
  if (const auto place = places_.find(offset); place != places_.end()) {
    last_ = place->second;
  } else {
    const std::uint32_t taken = take_slot();
    MOTE_CHECK(file_->read_bytes({slots_[taken].bytes.get(), slice_size_}, offset));
    slots_[taken].offset = offset;
    places_[offset] = last_ = taken;
  }
  slots_[last_].used = true;
  return std::span<const std::byte>(slots_[last_].bytes.get(), slice_size_);
}

Result<void> TableCache::store(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t inside = offset % slice_size_;
  auto written = file_->write_bytes(bytes, offset);
  if (!written) {
    // Part of it may be in the file.
    forget(offset - inside, slice_size_);
    return written;
  }
  if (const auto place = places_.find(offset - inside); place != places_.end()) {
    std::memcpy(slots_[place->second].bytes.get() + inside, bytes.data(), bytes.size());
  }
  return {};
}

void TableCache::forget(std::uint64_t offset, std::uint64_t length) {
  for (std::uint64_t at = offset; at < offset + length; at += slice_size_) {
    const auto place = places_.find(at);
    if (place == places_.end()) continue;
    slots_[place->second].offset = 0;
    slots_[place->second].used = false;
    places_.erase(place);
  }
}

}  // namespace mote::storage::qcow2

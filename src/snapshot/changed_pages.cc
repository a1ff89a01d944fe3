#include "snapshot/changed_pages.h"

#include <sys/mman.h>

namespace mote::snapshot {

void ChangedPages::look(memory::GuestAddress start, std::uint64_t length,
                        std::optional<iovec> host) {
  words_ = {};
  if (memory_.dirty_pages(start, words_)) return;
  if (!host) return;
  if (page_table_.own_pages(*host, 0, words_) || ask_mincore(*host)) return;
  for (std::size_t page = 0; page < length / memory::kPageSize; ++page) {
    words_[page / 64] |= std::uint64_t{1} << (page % 64);
  }
}

// What is in memory, of the file as well: more than was written. With swap it may be less.
bool ChangedPages::ask_mincore(const iovec& host) {
  std::array<unsigned char, kChunkPages> resident{};
  if (swaps_ || ::mincore(host.iov_base, host.iov_len, resident.data()) < 0) return false;
  for (std::size_t page = 0; page < host.iov_len / memory::kPageSize; ++page) {
    if ((resident[page] & 1) != 0) words_[page / 64] |= std::uint64_t{1} << (page % 64);
  }
  return true;
}

}  // namespace mote::snapshot

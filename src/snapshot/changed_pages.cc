#include "snapshot/changed_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

namespace mote::snapshot {
namespace {

// Documentation/admin-guide/mm/pagemap.rst.
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
constexpr std::uint64_t kSwapped = std::uint64_t{1} << 62;
constexpr std::uint64_t kFileOrShared = std::uint64_t{1} << 61;

}  // namespace

bool host_swaps() {
  struct sysinfo host{};
  return ::sysinfo(&host) < 0 || host.totalswap != 0;
}

ChangedPages::ChangedPages(const memory::GuestMemory& memory)
    : memory_(memory), swaps_(host_swaps()) {
  // A jail has none; then mincore says a little more than is true.
  if (auto opened = open_file("/proc/self/pagemap", O_RDONLY)) page_table_ = std::move(*opened);
}

void ChangedPages::look(memory::GuestAddress start, std::uint64_t length,
                        std::optional<iovec> host) {
  words_ = {};
  if (memory_.dirty_pages(start, words_)) return;
  if (!host) return;
  if (ask_page_table(*host) || ask_mincore(*host)) return;
  for (std::size_t page = 0; page < length / memory::kPageSize; ++page) {
    words_[page / 64] |= std::uint64_t{1} << (page % 64);
  }
}

// A page that is this process's own is anonymous: it was written, whatever it was a copy of.
bool ChangedPages::ask_page_table(const iovec& host) {
  if (!page_table_) return false;
  std::array<std::uint64_t, kChunkPages> entries{};
  const std::size_t pages = host.iov_len / memory::kPageSize;
  const auto into = std::as_writable_bytes(std::span(entries).first(pages));
  const auto read = read_at(
      page_table_.get(), into,
      reinterpret_cast<std::uintptr_t>(host.iov_base) / memory::kPageSize * sizeof(std::uint64_t));
  if (!read || *read != into.size()) return false;
  for (std::size_t page = 0; page < pages; ++page) {
    const std::uint64_t entry = entries[page];
    const bool own = (entry & (kPresent | kSwapped)) != 0 && (entry & kFileOrShared) == 0;
    if (own) words_[page / 64] |= std::uint64_t{1} << (page % 64);
  }
  return true;
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

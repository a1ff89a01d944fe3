#include "memory/page_table.h"

#include <fcntl.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <array>

#include "memory/guest_memory.h"

namespace mote::memory {
namespace {

constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
constexpr std::uint64_t kSwapped = std::uint64_t{1} << 62;
constexpr std::uint64_t kFileOrShared = std::uint64_t{1} << 61;
constexpr std::size_t kAtOnce = 512;  // entries: a page of them

}  // namespace

bool host_swaps() {
  struct sysinfo host{};
  return ::sysinfo(&host) < 0 || host.totalswap != 0;
}

PageTable::PageTable() {
  if (auto opened = open_file("/proc/self/pagemap", O_RDONLY)) entries_ = std::move(*opened);
}

template <typename Each>
bool PageTable::each_entry(const iovec& pages, Each&& each) const {
  if (!entries_) return false;
  std::array<std::uint64_t, kAtOnce> entries;
  const std::size_t count = pages.iov_len / kPageSize;
  const std::uint64_t first = reinterpret_cast<std::uintptr_t>(pages.iov_base) / kPageSize;
  for (std::size_t done = 0; done < count; done += kAtOnce) {
    const auto some = std::span(entries).first(std::min(kAtOnce, count - done));
    const auto into = std::as_writable_bytes(some);
    const auto read = read_at(entries_.get(), into, (first + done) * sizeof(std::uint64_t));
    if (!read || *read != into.size()) return false;
    for (std::size_t i = 0; i < some.size(); ++i) each(done + i, some[i]);
  }
  return true;
}

bool PageTable::own_pages(const iovec& pages, std::uint64_t first,
                          std::span<std::uint64_t> words) const {
  return each_entry(pages, [&](std::size_t page, std::uint64_t entry) {
    // What is nobody else's is anonymous: it was written, whatever it was a copy of.
    const bool own = (entry & (kPresent | kSwapped)) != 0 && (entry & kFileOrShared) == 0;
    if (own) words[(first + page) / 64] |= std::uint64_t{1} << ((first + page) % 64);
  });
}

bool PageTable::present_pages(const iovec& pages, std::uint64_t first,
                              std::span<std::uint64_t> words) const {
  return each_entry(pages, [&](std::size_t page, std::uint64_t entry) {
    if ((entry & (kPresent | kSwapped)) == 0) return;
    words[(first + page) / 64] |= std::uint64_t{1} << ((first + page) % 64);
  });
}

}  // namespace mote::memory

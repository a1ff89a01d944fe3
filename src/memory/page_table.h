// PageTable tells which pages of its memory this process has for itself alone: written since they
// were mapped (/proc/self/pagemap; Documentation/admin-guide/mm/pagemap.rst).
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <utility>

#include "base/unique_fd.h"

namespace mote::memory {

// Whether this host has swap; also where that cannot be told. A page that is not in memory may
// then be on disk.
bool host_swaps();

class PageTable {
 public:
  // Where it cannot be opened (in a jail, which has no /proc), nothing can be told.
  PageTable();
  // Of no process: nothing can be told.
  static PageTable none() { return PageTable(UniqueFd()); }
  bool can_tell() const { return static_cast<bool>(entries_); }

  // Marks those of `pages`, whole ones, that are this process's own, a bit a page from bit `first`
  // of `words` on, which are clear. False: that cannot be told.
  bool own_pages(const iovec& pages, std::uint64_t first, std::span<std::uint64_t> words) const;
  // Marks those that this process has touched, its own or not, likewise.
  bool present_pages(const iovec& pages, std::uint64_t first, std::span<std::uint64_t> words) const;

 private:
  // Calls `each(page, entry)` for all of `pages`, counted from 0.
  explicit PageTable(UniqueFd entries) : entries_(std::move(entries)) {}
  template <typename Each>
  bool each_entry(const iovec& pages, Each&& each) const;

  UniqueFd entries_;
};

}  // namespace mote::memory

// Refcounts says how often each cluster of an image's file is referred to, finds clusters that
// nothing refers to, and keeps count. The refcount table is in memory; the blocks that it points to
// are cached in slices. Changes are in the file when a call returns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "storage/qcow2/layout.h"
#include "storage/qcow2/table_cache.h"

namespace mote::storage::qcow2 {

// Clusters of the file in a row.
struct ClusterRun {
  std::uint64_t offset = 0;  // in the file, bytes
  std::uint64_t clusters = 0;
  // Nothing was ever written to them: they read as zeros.
  bool blank = false;
};

class Refcounts {
 public:
  // Reads the refcount table. Error: kIo.
  static Result<Refcounts> read(Layout& layout);

  // From 1 to `most` clusters in a row that were free and have the refcount 1 now; the file is long
  // enough for them. Errors: no room on the host (kResource), a table that is corrupt (kIo).
  Result<ClusterRun> allocate(std::uint64_t most);
  // One reference less to each cluster; room that nothing refers to any more is given back to the
  // host. Errors (kIo) leave the rest of the run as it is: it leaks.
  Result<void> release(std::uint64_t offset, std::uint64_t clusters);
  Result<std::uint64_t> get(std::uint64_t cluster);

 private:
  Refcounts(Layout& layout, std::vector<std::uint64_t> table);

  std::uint64_t per_block() const { return std::uint64_t{1} << per_block_bits_; }
  std::uint64_t per_slice() const { return std::uint64_t{cache_.slice_size()} * 8 >> order_; }
  // The slice that has `cluster`'s refcount, and its offset in the file; 0: no block has it.
  Result<std::uint64_t> slice_of(std::uint64_t cluster) const;
  void sort_blocks();
  bool is_table(std::uint64_t cluster) const;
  Result<std::uint64_t> skip_used(std::uint64_t slice);
  Result<void> find_free();
  Result<void> add_block(std::uint64_t index);
  Result<void> grow_table();
  Result<void> switch_table(std::uint64_t offset, std::vector<std::uint64_t> table);
  // `count` refcounts from `cluster` on, within one slice at `slice` of the file.
  Result<void> set(std::uint64_t slice, std::uint64_t cluster, std::uint64_t count,
                   std::uint64_t value);

  Layout* layout_;
  unsigned order_;
  unsigned per_block_bits_;
  std::vector<std::uint64_t> table_;
  std::vector<std::uint64_t> blocks_;  // what of table_ is not 0, in order
  TableCache cache_;
  std::uint64_t hint_ = 1;   // no cluster before it is free
  std::uint64_t blank_ = 0;  // from this cluster on nothing was ever written
};

}  // namespace mote::storage::qcow2

// Mapping says where in an image's file each cluster of the disk is: the L1 table, kept in memory,
// points to L2 tables, cached in slices, whose entries point to clusters.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "storage/qcow2/layout.h"
#include "storage/qcow2/refcounts.h"
#include "storage/qcow2/table_cache.h"

namespace mote::storage::qcow2 {

enum class Kind : std::uint8_t {
  kAbsent,      // the backing file has it, or it reads as zeros
  kZero,        // reads as zeros
  kData,        // is in the file as it is
  kCompressed,  // one cluster
};

// A part of the disk, in a row, all of one kind; of kData also in a row in the file.
struct Extent {
  Kind kind = Kind::kAbsent;
  std::uint64_t length = 0;    // bytes
  std::uint64_t offset = 0;    // of kData: in the file
  std::uint64_t entry = 0;     // of kCompressed: of the L2 table
  bool is_ours_alone = false;  // of kData: nothing else refers to it, so that it can be overwritten
};

class Mapping {
 public:
  // Reads the L1 table. Error: kIo.
  static Result<Mapping> read(Layout& layout);

  // What is at `offset` of the disk, and how far that goes; at most `length` (more than 0) bytes,
  // which are inside the disk. Error (kIo): a table that is corrupt.
  Result<Extent> find(std::uint64_t offset, std::uint64_t length);

  // How many of `most` clusters from `cluster` of the disk on have their entries in one slice,
  // which is what entries() and set() take at most.
  std::uint64_t in_one_slice(std::uint64_t cluster, std::uint64_t most) const;
  // The L2 entries of `count` clusters, as they are in the file; zeros where there is no table.
  Result<std::vector<std::uint64_t>> entries(std::uint64_t cluster, std::uint64_t count);
  // Changes L2 entries. A table that is missing, or that a snapshot has a share in, is made first.
  Result<void> set(std::uint64_t cluster, std::span<const std::uint64_t> entries,
                   Refcounts& refcounts);

 private:
  Mapping(Layout& layout, std::vector<std::uint64_t> l1);

  std::uint64_t l1_index(std::uint64_t cluster) const { return cluster >> l2_bits_; }
  std::uint64_t per_slice() const { return cache_.slice_size() / kEntrySize; }
  // Where the entry of `cluster` is in the file; 0: there is no table.
  Result<std::uint64_t> place_of(std::uint64_t cluster) const;
  Result<void> check(std::uint64_t cluster, std::uint64_t entry) const;
  Result<void> own_table(std::uint64_t index, Refcounts& refcounts);

  Layout* layout_;
  unsigned l2_bits_;
  std::vector<std::uint64_t> l1_;
  TableCache cache_;
};

}  // namespace mote::storage::qcow2

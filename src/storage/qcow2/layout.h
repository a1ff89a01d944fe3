// Layout is where an image keeps what: its header as it stands now, and the parts of the file that
// hold no guest data.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "storage/image_file.h"
#include "storage/qcow2/header.h"

namespace mote::storage::qcow2 {

struct Layout {
  ImageFile& file;
  Header header;

  std::uint64_t cluster_size() const { return header.cluster_size(); }
  std::uint64_t cluster_of(std::uint64_t offset) const { return offset >> header.cluster_bits; }

  // Whether a range of the file touches the header, the L1 table, the refcount table or the start
  // of the snapshots: what a lying L2 or refcount must never get the guest's data into, as the
  // header names files of the host.
  bool is_reserved(std::uint64_t offset, std::uint64_t length) const;
  // A cluster (or `length` bytes of clusters) that a table points to: aligned, inside the file, and
  // not reserved. `what` is for the message. Error: kIo.
  Result<void> check_clusters(const char* what, std::uint64_t offset, std::uint64_t length) const;
};

}  // namespace mote::storage::qcow2

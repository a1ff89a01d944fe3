#include "storage/qcow2/layout.h"

namespace mote::storage::qcow2 {
namespace {

bool overlap(std::uint64_t a, std::uint64_t a_length, std::uint64_t b, std::uint64_t b_length) {
  return a < b + b_length && b < a + a_length;
}

}  // namespace

bool Layout::is_reserved(std::uint64_t offset, std::uint64_t length) const {
  return offset < cluster_size() ||
         overlap(offset, length, header.l1_offset, header.l1_entries * kEntrySize) ||
         overlap(offset, length, header.refcount_table_offset,
                 header.refcount_table_clusters * cluster_size()) ||
         (header.snapshots != 0 &&
          overlap(offset, length, header.snapshots_offset, cluster_size()));
}

Result<void> Layout::check_clusters(const char* what, std::uint64_t offset,
                                    std::uint64_t length) const {
  if (offset % cluster_size() != 0) {
    return fail(ErrorKind::kIo, "the image is corrupt: {} at {:#x} is not aligned to a cluster",
                what, offset);
  }
  // The last cluster of a file may be cut short; the rest of it reads as zeros.
  if (offset >= file.size() || length - cluster_size() >= file.size() - offset) {
    return fail(ErrorKind::kIo, "the image is corrupt: {} at {:#x} is past the end of the file",
                what, offset);
  }
  if (is_reserved(offset, length)) {
    return fail(ErrorKind::kIo, "the image is corrupt: {} at {:#x} is where its own tables are",
                what, offset);
  }
  return {};
}

}  // namespace mote::storage::qcow2

// The header of a qcow2 image, read and checked before anything else of the image is believed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "storage/qcow2/format.h"

namespace mote::storage::qcow2 {

struct Header {
  std::uint32_t version = 0;  // 2 or 3
  unsigned cluster_bits = 0;
  std::uint64_t size = 0;  // of the disk, bytes
  std::uint64_t l1_offset = 0;
  std::uint32_t l1_entries = 0;
  std::uint64_t refcount_table_offset = 0;
  std::uint32_t refcount_table_clusters = 0;
  unsigned refcount_order = 4;  // a refcount has 2^order bits
  std::uint32_t snapshots = 0;
  std::uint64_t snapshots_offset = 0;
  std::uint64_t incompatible = 0;
  std::uint64_t autoclear = 0;
  bool zstd = false;                            // what compressed clusters are; else zlib
  std::optional<std::string> backing_file{};    // as it is written: maybe relative to the image
  std::optional<std::string> backing_format{};  // from the header extension

  std::uint64_t cluster_size() const { return std::uint64_t{1} << cluster_bits; }
  std::uint64_t l2_entries() const { return cluster_size() / kEntrySize; }
  bool dirty() const { return (incompatible >> kDirtyBit & 1) != 0; }
  bool corrupt() const { return (incompatible >> kCorruptBit & 1) != 0; }
};

// What stands at the start of an image of `file_size` bytes. `bytes` is its first cluster, or the
// whole file where that is shorter. Every offset and size is checked against the format's limits
// and the file; the tables are not looked at. Errors: no qcow2 image, or one that is inconsistent
// (kInvalid); a version, feature or encryption that is not built (kUnsupported), by name.
Result<Header> parse_header(std::span<const std::byte> bytes, std::uint64_t file_size);

// How many bytes parse_header() wants of an image that begins with `start` (at least 24 bytes):
// one cluster. Errors as there.
Result<std::uint64_t> header_room(std::span<const std::byte> start);

}  // namespace mote::storage::qcow2

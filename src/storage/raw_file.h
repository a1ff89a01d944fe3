// A file or block device that a raw disk lies in: opened, measured and described.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "storage/disk.h"
#include "storage/disk_file.h"

namespace mote::storage {

// Through the host's page cache, or around it (O_DIRECT).
enum class Cache { kBuffered, kDirect };

struct RawFile {
  std::string path;
  UniqueFd fd;
  Access access = Access::kReadWrite;
  std::string identity;
  DiskTraits traits;
  std::uint64_t size = 0;  // bytes, whole blocks of traits.block_size
  // What direct I/O asks of a buffer's address, in bytes; 1: nothing.
  std::uint32_t buffer_alignment = 1;
  // The file's filesystem is memory: nothing is to be waited for.
  bool in_memory = false;

  // Opens `path`. An odd end that makes no block cannot be reached, and a warning says so; an empty
  // file is an empty disk. Errors: nothing there (kNotFound); not permitted (kPermission); neither
  // a regular file nor a block device (kInvalid); a filesystem without direct I/O (kUnsupported).
  static Result<RawFile> open(const std::string& path, Access access, Cache cache);
  // Takes `size` anew.
  Result<void> refresh();
};

}  // namespace mote::storage

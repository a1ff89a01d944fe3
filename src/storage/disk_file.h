// What a path can be that a disk is made of: a regular file or a block device of the host.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::storage {

enum class Access { kReadWrite, kReadOnly };

struct DiskFile {
  UniqueFd fd;
  bool block_device = false;
  // The numbers of the file's device, of the device that it is, and of its inode, in decimal.
  std::string identity;
};

// Opens `path`, with `flags` (O_DIRECT) beside the access. Errors: nothing there (kNotFound); not
// permitted (kPermission); neither a regular file nor a block device (kInvalid).
Result<DiskFile> open_disk_file(const std::string& path, Access access, int flags = 0);

// As DiskFile::identity, of an open file; `path` is for the message.
Result<std::string> disk_file_identity(const std::string& path, int fd);

// Whether an open file's filesystem is memory: nothing is to be waited for there.
bool is_in_memory(int fd);

// The bytes of an open file or block device; `path` is for the message.
Result<std::uint64_t> disk_file_size(const std::string& path, int fd);

}  // namespace mote::storage

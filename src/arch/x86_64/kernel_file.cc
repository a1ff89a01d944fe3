#include "arch/x86_64/kernel_file.h"

#include "base/unique_fd.h"

namespace mote::arch {

Result<void> KernelFile::read(std::uint64_t offset, std::span<std::byte> into,
                              std::string_view what) const {
  std::size_t length = 0;
  if (holds(offset, into.size())) {
    MOTE_TRY(length, read_at(fd, into, offset));
  }
  if (length == into.size()) return {};
  return fail(ErrorKind::kInvalid,
              "the file is truncated: {} should take {} bytes at offset {}, and the file has {}",
              what, into.size(), offset, size);
}

}  // namespace mote::arch

#include "snapshot/mapped_file.h"

#include "base/file.h"

namespace mote::snapshot {

MappedFile::MappedFile(std::shared_ptr<const UniqueFd> file, const struct stat& facts)
    : file_(std::move(file)), size_(facts.st_size), changed_(facts.st_mtim) {}

Result<void> MappedFile::check() const {
  struct stat facts{};
  if (!look_at(file_->get(), facts)) return fail_errno(errno, "look at the memory file");
  if (facts.st_size < size_) {
    return fail(ErrorKind::kState,
                "the memory file of this microVM was cut from {} to {} bytes since it was loaded",
                size_, facts.st_size);
  }
  if (facts.st_mtim.tv_sec != changed_.tv_sec || facts.st_mtim.tv_nsec != changed_.tv_nsec) {
    return fail(ErrorKind::kState,
                "the memory file of this microVM was written to since it was loaded");
  }
  return {};
}

}  // namespace mote::snapshot

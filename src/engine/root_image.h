// RootImage is the guest's root as a read-only disk: an image that the user has, or one made of a
// directory.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "engine/tool.h"

namespace mote::engine {

enum class FileSystem { kExt4, kSquashfs, kErofs };

// As mount(2) calls it.
const char* name_of(FileSystem kind);

// What the image behind `fd` is, by its superblock. `path` is for messages. Errors: none of these.
Result<FileSystem> detect_file_system(int fd, const std::string& path);

class RootImage {
 public:
  // The image at `path`: a regular file or block device with one of the file systems above. Or the
  // directory at `path`, copied into an image by mkfs.erofs or mke2fs; that takes time and space
  // like the directory's, in TMPDIR, and leaves nothing behind however this process ends.
  // `find` finds those tools.
  static Result<RootImage> open(const std::string& path, const ToolFinder& find = find_tool);

  FileSystem file_system() const { return file_system_; }
  int fd() const { return fd_.get(); }

 private:
  RootImage(UniqueFd fd, FileSystem kind) : fd_(std::move(fd)), file_system_(kind) {}
  static Result<RootImage> from_directory(const std::string& path, const ToolFinder& find);

  UniqueFd fd_;
  FileSystem file_system_;
};

}  // namespace mote::engine

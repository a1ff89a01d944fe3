// NewFile is a file that comes to be whole or not at all: it is written under another name beside
// its own, flushed, and then put in the place of what was there.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::snapshot {

class NewFile {
 public:
  // Behind a file's name until it is in place.
  static constexpr const char* kSuffix = ".new";
  // The name that the file which is to be at `path` has until then.
  static Result<std::string> unplaced_name(const std::string& path);

  // Begins the file that is to be at `path`; where that is a symbolic link, at what it leads to.
  // Errors: there is something else than a regular file, somebody writes it at this moment
  // (kState), the directory cannot be written.
  static Result<NewFile> create(const std::string& path);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  // What was not committed is removed.
  ~NewFile();

  int fd() const { return fd_.get(); }
  // The file whose place it takes.
  const std::string& target() const { return target_; }
  // Whether it is this file that is at `path` until it is in place.
  bool lies_at(const std::string& path) const;
  // Flushes it, as commit() does first: then it is whole under its other name.
  Result<void> flush();
  // Flushes it and puts it in place: whatever happens meanwhile, the old file is there or this one.
  Result<void> commit();

 private:
  NewFile(std::string target, std::string name, UniqueFd fd)
      : target_(std::move(target)), name_(std::move(name)), fd_(std::move(fd)) {}

  std::string target_;
  std::string name_;  // empty: it is in place
  UniqueFd fd_;
};

}  // namespace mote::snapshot

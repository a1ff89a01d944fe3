// NewFile is a file that comes to be whole or not at all: it is written under another name beside
// its own, flushed, and then put in the place of what was there.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::snapshot {

class NewFile {
 public:
  // Behind a file's name while it is written, and behind that of one that is whole and waits for
  // its place: what has that name was finished, whoever died since.
  static constexpr const char* kSuffix = ".new";
  static constexpr const char* kWholeSuffix = ".whole";
  // The name that the file which is to be at `path` has while it waits.
  static Result<std::string> whole_name(const std::string& path);

  // Begins the file that is to be at `path`; where that is a symbolic link, at what it leads to.
  // Errors: there is something else than a regular file, somebody writes it at this moment
  // (kState), the directory cannot be written.
  static Result<NewFile> create(const std::string& path);
  NewFile(NewFile&& other) noexcept;
  NewFile& operator=(NewFile&&) = delete;
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  // What was not committed is removed, unless it is to stay.
  ~NewFile();

  int fd() const { return fd_.get(); }
  // The file whose place it takes.
  const std::string& target() const { return target_; }
  // Whether a file at `path` would be in its way before it is in place.
  bool passes(const std::string& path) const;
  // Nothing more is written: flushes it, and gives it the name by which it is known to be whole.
  // For one that is not put in place at once; commit() does without.
  Result<void> finish();
  // One that is finished is wanted from now on, in its place or not.
  void keep() { kept_ = true; }
  // Flushes it and puts it in place: whatever happens meanwhile, the old file is there or this one.
  Result<void> commit();

 private:
  Result<void> flush();
  NewFile(std::string target, std::string name, UniqueFd fd)
      : target_(std::move(target)), name_(std::move(name)), fd_(std::move(fd)) {}

  std::string target_;
  std::string name_;  // empty: it is in place
  UniqueFd fd_;
  bool kept_ = false;
};

}  // namespace mote::snapshot

// The monitor's file: found once, named after where links lead, and held by its descriptor.
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/unique_fd.h"

namespace mote::isolation::jail {

struct ExecFile {
  UniqueFd fd;
  std::string name;  // the last component of its path, links followed: what the jail is named after
  struct stat status;
  bool needs_interpreter;  // a dynamic linker, which the jail would have to hold

  // Errors: not there, no regular file, not executable, no ELF program of this processor (a script
  // cannot run where no shell is).
  static Result<ExecFile> open(const std::string& path);
};

}  // namespace mote::isolation::jail

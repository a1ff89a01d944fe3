// `mote seccomp`: which system calls mote-vmm's threads may make, and filters of one's own.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mote::cli {

struct SeccompShow {
  std::string thread;  // empty: all
  bool json = false;
};
struct SeccompCompile {
  std::vector<std::string> inputs;
  std::string architecture;
  std::string output = "seccomp_binary_filter.out";
  bool split = false;
};

// The tables that mote-vmm's filters are made of, thread by thread, in the form that
// seccomp_compile() takes; or as JSON, for programs. Error: there is no such thread.
Result<std::string> seccomp_show(const SeccompShow& request);

// Writes the filters that are made of the files, in mote's form or in Firecracker's, to a file for
// --seccomp-filter, or the bare program of each thread to a file of its own. Errors name the file
// and what is wrong in it; nothing is written then.
Result<void> seccomp_compile(const SeccompCompile& request);

}  // namespace mote::cli

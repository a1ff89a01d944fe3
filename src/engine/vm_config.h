// The configuration that mote writes for mote-vmm: Firecracker's JSON form, as far as a run needs
// it.
#pragma once

#include <cstdint>
#include <string>

namespace mote::engine {

struct VmPlan {
  std::string kernel;  // paths, as mote-vmm opens them
  std::string initrd;
  std::string root_image;
  std::uint32_t cpus = 1;
  std::uint64_t memory_mib = 0;
  bool show_console = false;
  std::string kernel_arguments;  // the user's, appended
};

// The kernel's command line: quiet, without probing for what the machine lacks, and ending the
// machine when the kernel panics.
std::string kernel_command_line(const VmPlan& plan);

std::string vm_config_json(const VmPlan& plan);

}  // namespace mote::engine

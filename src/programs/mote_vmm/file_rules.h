// What of the host's files the monitor's threads may still reach by name (landlock). With --no-api
// the machine thread opens all that the configuration names and then gives the rest up; with
// --allow-path it is held to those paths from before its first client on; else clients may bring
// any path later, and it is not held. Other threads open nothing.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "machine/config.h"
#include "programs/mote_vmm/arguments.h"

namespace mote::vmm {

// Finds out whether there are to be rules, and makes those of the threads that start. Errors: a
// path of --allow-path is not there; or this kernel has no landlock, where --allow-path asks for
// it.
Result<void> prepare_file_rules(const Arguments& arguments);
// Before the first client: holds the machine thread to the paths of --allow-path, to the file of
// --metadata and to the devices that a machine is made of. Without --allow-path it is held back
// from TCP, abstract sockets and signals to others alone, as far as the kernel's version goes,
// unless
// --no-seccomp asks for a monitor that nothing holds.
Result<void> enter_file_rules(const Arguments& arguments);
// The directory that `path` lies in.
std::string directory_of(const std::string& path);
// The machine of `config` is made and there is no API: holds the machine thread to `allow_path`,
// and lets it remove the sockets that it made.
Result<void> give_up_files(const std::vector<std::string>& allow_path,
                           const machine::VmConfig& config);
// Holds another thread, which opens nothing.
Result<void> hold_thread();
// Whether prepare_file_rules() found that there are to be rules.
bool has_file_rules();

}  // namespace mote::vmm

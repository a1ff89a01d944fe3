// The files of a jail: BASE/EXEC/ID/root with the monitor, device nodes and the pid file.
#pragma once

#include <string>

#include "isolation/jail/directory.h"
#include "isolation/jail/exec_file.h"
#include "isolation/jail/request.h"
#include "isolation/jail/undo.h"

namespace mote::isolation::jail {

struct Tree {
  UniqueFd own;       // BASE/EXEC/ID; who has it open makes or removes the jail, and nobody else
  UniqueFd root;      // BASE/EXEC/ID/root
  UniqueFd dev;       // its dev
  UniqueFd net;       // its dev/net
  UniqueFd run;       // its run
  UniqueFd pid_file;  // EXEC.pid, empty
  // The monitor in it, still empty. Closed where it needs no copy: with --share-exec, and where it
  // shares the blocks of the host's. Nobody can execute a file that somebody may write to.
  UniqueFd binary;
};

// Makes what is not there of the root and what is above it, and the monitor's file. Directories
// above the root and the copy of the monitor get the modes that `mask`, the caller's umask, leaves;
// this process's own must be 0. Errors: no base, links below it, and a monitor that an earlier jail
// left; whoever makes it right now.
Result<Tree> begin_tree(const Request& request, const ExecFile& monitor, mode_t mask, Undo& undo);

// Makes the rest, but for the monitor's content. From here on the root belongs to nobody but this
// process; hand_over() ends that. Errors: links, and what an earlier jail left (a pid file, a
// device node).
Result<void> fill_tree(Tree& tree, const Request& request, const ExecFile& monitor, mode_t mask,
                       Undo& undo);

// Gives the directories and nodes to the jail's user.
Result<void> hand_over(const Tree& tree, const Request& request);

// A device that a jail has, as the host's.
struct Device {
  const char* path;  // below /dev
  unsigned major;
  unsigned minor;
};

// kvm, net/tun and urandom, whose numbers are fixed, and userfaultfd where the host has it.
std::vector<Device> devices();

// The directory of the tree in which a device lies, and its name there.
std::pair<const UniqueFd*, std::string> place_of(const Tree& tree, const Device& device);

}  // namespace mote::isolation::jail

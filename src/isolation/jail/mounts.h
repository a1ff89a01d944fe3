// What a jailed process sees mounted: its own root, and nothing of the host's.
#pragma once

#include "isolation/jail/exec_file.h"
#include "isolation/jail/request.h"
#include "isolation/jail/tree.h"
#include "isolation/jail/undo.h"

namespace mote::isolation::jail {

// Nothing that is mounted from here on is seen outside, nor the other way round. Enters a mount
// namespace, unless --user-ns brought one.
Result<void> make_mounts_private(bool has_namespace);

// The same where the root of a jail was opened before: it is the new namespace's from then on.
// Nothing else that was opened before can be mounted, or mounted on. Changes the working directory.
Result<void> make_mounts_private_below(Tree& tree, bool has_namespace);

// Makes the tree's root this process's `/` and lets go of the host's: nosuid, and noexec but for
// the monitor's file (which is read-only), unless that needs a dynamic linker from the jail.
// Devices work on it, as the host's root may put disks there, except under --user-ns, where each
// device is mounted by itself. The monitor's file must have been opened in this mount namespace.
Result<void> enter_root(const Tree& tree, const Request& request, const ExecFile& monitor,
                        Undo& undo);

}  // namespace mote::isolation::jail

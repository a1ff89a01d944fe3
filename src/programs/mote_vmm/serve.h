// The life of a monitor that is asked through its API: it has a socket from its start on, and a
// machine when somebody starts one. And that of one that goes on from a snapshot, which may do
// without a socket.
#pragma once

#include "base/result.h"
#include "devices/end.h"
#include "programs/mote_vmm/arguments.h"

namespace mote::vmm {

// Serves the API, unless --no-api goes without, and boots what --config-file says or loads what
// --load says, if one is given, until the microVM or a signal ends it. Ends the process then, or,
// for its caller to do so, returns the end. An error: the socket, or what a flag names, is not as
// it should be.
Result<devices::End> serve(const Arguments& arguments);

}  // namespace mote::vmm

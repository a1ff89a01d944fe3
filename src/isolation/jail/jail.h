// Makes a jail and becomes the monitor in it, as Firecracker's jailer does.
#pragma once

#include <sys/stat.h>

#include "base/result.h"
#include "isolation/jail/request.h"

namespace mote::isolation::jail {

// Makes the jail that is asked for and starts the monitor in it. Returns without an error only
// where the monitor is a process of its own (--daemonize, --new-pid-ns) and has been started;
// elsewhere this process becomes the monitor. On an error, nothing that was made is left. This
// process must have no thread besides its first, and no descriptor but its standard streams.
// `started` is when it was.
Result<void> start(const Request& request, const StartTimes& started);

}  // namespace mote::isolation::jail

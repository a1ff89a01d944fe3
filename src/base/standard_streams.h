// A program may be started with some of its standard streams closed.
#pragma once

#include "base/result.h"

namespace mote {

// Has /dev/null in the place of each that is closed: the next file that is opened would be it, and
// would get what a guest or the program prints. Before any is opened. Errors: there is no
// /dev/null.
Result<void> hold_standard_streams();

}  // namespace mote

// Lines of the log that speak of one of several things of a kind, such as a disk among disks: what
// others have had said of them at the same place leaves it as much (base/log_limit.h).
#pragma once

#include "base/log.h"

namespace mote::log {

// As write(), of one `subject` of those that `where` speaks of.
void write_of(std::size_t subject, Level level, std::string_view text, std::source_location where);

}  // namespace mote::log

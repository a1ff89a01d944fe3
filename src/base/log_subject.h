// Lines of the log that speak of one of several things of a kind, such as a disk among disks: what
// others have had said of them at the same place leaves it as much (base/log_limit.h).
#pragma once

#include <functional>
#include <string_view>

#include "base/log.h"

namespace mote::log {

// As write(), of one `subject` of those that `where` speaks of.
void write_of(std::size_t subject, Level level, std::string_view text, std::source_location where);

// As line(), of the thing called `name`, with which the line begins.
template <typename... Args>
void line_of(Level level, std::string_view name, Format format, const Args&... args) {
  if (!enabled(level)) return;
  const std::string text = fmt::vformat(format.text, fmt::make_format_args(args...));
  write_of(std::hash<std::string_view>()(name), level, fmt::format("{}{}", name, text),
           format.where);
}

}  // namespace mote::log

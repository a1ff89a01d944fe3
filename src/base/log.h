// The log: lines in the shape "TIME [ID:THREAD:LEVEL:FILE:LINE] text" to one sink, from any thread.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::log {

enum class Level : std::uint8_t { kOff, kError, kWarning, kInfo, kDebug, kTrace };

// The level that `name` means, in any case: Off, Error, Warning (Warn), Info, Debug, Trace.
std::optional<Level> level_from_name(std::string_view name);

struct Settings {
  Level level = Level::kInfo;
  bool show_level = false;   // ":LEVEL" in the brackets
  bool show_origin = false;  // ":FILE:LINE" in the brackets
  std::string id = "anonymous-instance";
};

// Replaces the settings. Call before other threads start.
void configure(Settings settings);
// Sends lines to `fd` from now on; the default is standard output. Call before other threads start.
void set_sink(UniqueFd fd);
// The name of the calling thread in its lines and in /proc (at most 15 bytes).
void name_thread(const char* name);

bool enabled(Level level);
void write(Level level, std::string_view text, std::source_location where);

// A format string that remembers where it was written.
struct Format {
  template <typename String>
  consteval Format(const String& string,  // NOLINT(google-explicit-constructor)
                   std::source_location location = std::source_location::current())
      : text(string), where(location) {}
  fmt::string_view text;
  std::source_location where;
};

template <typename... Args>
void line(Level level, Format format, const Args&... args) {
  if (!enabled(level)) return;
  write(level, fmt::vformat(format.text, fmt::make_format_args(args...)), format.where);
}

template <typename... Args>
void error(Format format, const Args&... args) {
  line(Level::kError, format, args...);
}
template <typename... Args>
void warning(Format format, const Args&... args) {
  line(Level::kWarning, format, args...);
}
template <typename... Args>
void info(Format format, const Args&... args) {
  line(Level::kInfo, format, args...);
}
template <typename... Args>
void debug(Format format, const Args&... args) {
  line(Level::kDebug, format, args...);
}

}  // namespace mote::log

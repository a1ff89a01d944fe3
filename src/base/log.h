// The log: lines in the shape "TIME [ID:THREAD:LEVEL:FILE:LINE] text" to one sink. Everything here
// may be called from any thread at any time. Nobody waits for whoever reads the log: a line that
// the sink does not take at once is lost, and counted.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>

#include "base/counters.h"
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
  // Only lines of modules whose names begin so (base/log_module.h); empty: all.
  std::string module = {};
};

Settings settings();
// Replaces the settings.
void configure(Settings settings);
// Sends lines to `fd` from now on; without one, to standard output, as in the beginning.
void set_sink(UniqueFd fd);
// Looks now at what sort of file the sink is, rather than with the first line: for threads that
// may not look at files.
void look_at_sink();
// The name of the calling thread in its lines and in /proc (at most 15 bytes).
void name_thread(const char* name);

struct Metrics {
  Counter missed_log_count;        // lines that the sink did not take
  Counter rate_limited_log_count;  // lines left out, as their place in the program says too many
};
BOOST_DESCRIBE_STRUCT(Metrics, (), (missed_log_count, rate_limited_log_count))
const Metrics& metrics();

bool enabled(Level level);
// Writes one line, at most kMaxLine bytes of it and control characters as \xNN, unless it is left
// out: by the settings, or as one of too many from `where` (base/log_limit.h).
void write(Level level, std::string_view text, std::source_location where);
// A pipe takes or refuses that much at once.
inline constexpr std::size_t kMaxLine = 4096;

// For tests: what tells the time since some moment, from now on; null: the clock.
void use_clock(std::chrono::nanoseconds (*now)());

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

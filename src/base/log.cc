#include "base/log.h"

#include <strings.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <ctime>

namespace mote::log {
namespace {

struct Sink {
  Settings settings;
  UniqueFd fd;
  int target() const { return fd ? fd.get() : STDOUT_FILENO; }
};

// The one global of the program, as every thread logs to the same place.
Sink& sink() {
  static Sink instance;
  return instance;
}

thread_local std::array<char, 16> thread_name{"main"};

struct LevelName {
  Level level;
  const char* name;
};
constexpr std::array kLevelNames{
    LevelName{Level::kOff, "Off"},         LevelName{Level::kError, "Error"},
    LevelName{Level::kWarning, "Warning"}, LevelName{Level::kWarning, "Warn"},
    LevelName{Level::kInfo, "Info"},       LevelName{Level::kDebug, "Debug"},
    LevelName{Level::kTrace, "Trace"}};

constexpr std::array<std::string_view, 6> kLevelTags{"OFF",  "ERROR", "WARN",
                                                     "INFO", "DEBUG", "TRACE"};

}  // namespace

std::optional<Level> level_from_name(std::string_view name) {
  for (const LevelName& known : kLevelNames) {
    if (name.size() == std::strlen(known.name) &&
        ::strncasecmp(name.data(), known.name, name.size()) == 0) {
      return known.level;
    }
  }
  return std::nullopt;
}

void configure(Settings settings) { sink().settings = std::move(settings); }

void set_sink(UniqueFd fd) { sink().fd = std::move(fd); }

void name_thread(const char* name) {
  thread_name.fill('\0');
  std::strncpy(thread_name.data(), name, thread_name.size() - 1);
  ::prctl(PR_SET_NAME, thread_name.data());
}

bool enabled(Level level) { return level <= sink().settings.level; }

void write(Level level, std::string_view text, std::source_location where) {
  const Settings& settings = sink().settings;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  // Not gmtime(3), which reads the time zone's file first.
  const std::chrono::sys_seconds time{std::chrono::seconds(now.tv_sec)};
  const auto midnight = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day day(midnight);
  const std::chrono::hh_mm_ss clock(time - midnight);
  fmt::memory_buffer line;
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09} [{}:{}",
                 int{day.year()}, unsigned{day.month()}, unsigned{day.day()}, clock.hours().count(),
                 clock.minutes().count(), clock.seconds().count(), now.tv_nsec, settings.id,
                 thread_name.data());
  if (settings.show_level) {
    fmt::format_to(std::back_inserter(line), ":{}", kLevelTags[static_cast<std::size_t>(level)]);
  }
  if (settings.show_origin) {
    fmt::format_to(std::back_inserter(line), ":{}:{}", where.file_name(), where.line());
  }
  fmt::format_to(std::back_inserter(line), "] {}\n", text);
  // One write a line keeps lines of several threads apart. A sink that takes no more loses it.
  [[maybe_unused]] const ssize_t written = ::write(sink().target(), line.data(), line.size());
}

}  // namespace mote::log

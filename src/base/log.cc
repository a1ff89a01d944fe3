#include "base/log.h"

#include <strings.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/byte_sink.h"
#include "base/log_limit.h"
#include "base/log_module.h"
#include "base/log_subject.h"
#include "base/sync.h"

namespace mote::log {
namespace {

struct Log {
  std::atomic<Level> level = Level::kInfo;  // settings.level, for enabled()
  Metrics metrics;

  Mutex mutex;  // never held across anything that waits
  Settings settings GUARDED_BY(mutex);
  UniqueFd fd GUARDED_BY(mutex);
  std::optional<FdSink> sink GUARDED_BY(mutex);  // onto `fd`, once somebody has looked at it
  bool looked GUARDED_BY(mutex) = false;
  CallSites sites GUARDED_BY(mutex);
  std::chrono::nanoseconds (*now)() GUARDED_BY(mutex) = nullptr;
};

// The one global of the program, as every thread logs to the same place.
Log& the_log() {
  static Log instance;
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

std::chrono::nanoseconds monotonic() { return std::chrono::steady_clock::now().time_since_epoch(); }

void add_time(fmt::memory_buffer& line) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  // Not gmtime(3), which reads the time zone's file first.
  const std::chrono::sys_seconds time{std::chrono::seconds(now.tv_sec)};
  const auto midnight = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day day(midnight);
  const std::chrono::hh_mm_ss clock(time - midnight);
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}",
                 int{day.year()}, unsigned{day.month()}, unsigned{day.day()}, clock.hours().count(),
                 clock.minutes().count(), clock.seconds().count(), now.tv_nsec);
}

// Control characters are told, not passed on: a line stays one, and a terminal that shows it is not
// commanded by what is in it.
void add_text(fmt::memory_buffer& line, std::string_view text) {
  for (const char c : text) {
    if (line.size() >= kMaxLine - 1) return;
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      line.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", byte);
    }
  }
}

void open_sink(Log& log) REQUIRES(log.mutex) {
  if (std::exchange(log.looked, true)) return;
  auto made = FdSink::create(log.fd ? log.fd.get() : STDOUT_FILENO);
  if (made) log.sink.emplace(std::move(*made));
}

void put(Log& log, const fmt::memory_buffer& line) REQUIRES(log.mutex) {
  open_sink(log);
  const std::span<const char> bytes(line.data(), line.size());
  if (log.sink) {
    const auto taken = log.sink->write(std::as_bytes(bytes));
    if (taken && *taken == bytes.size()) return;
  }
  ++log.metrics.missed_log_count;
}

void put_line(Log& log, Level level, std::string_view text, const std::source_location& where)
    REQUIRES(log.mutex) {
  fmt::memory_buffer line;
  add_time(line);
  fmt::format_to(std::back_inserter(line), " [{}:{}", log.settings.id, thread_name.data());
  if (log.settings.show_level) {
    fmt::format_to(std::back_inserter(line), ":{}", kLevelTags[static_cast<std::size_t>(level)]);
  }
  if (log.settings.show_origin) {
    fmt::format_to(std::back_inserter(line), ":{}:{}", in_source_tree(where.file_name()),
                   where.line());
  }
  fmt::format_to(std::back_inserter(line), "] ");
  add_text(line, text);
  line.resize(std::min(line.size(), kMaxLine - 1));
  line.push_back('\n');
  put(log, line);
}

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

Settings settings() {
  Log& log = the_log();
  const MutexLock lock(log.mutex);
  return log.settings;
}

void configure(Settings settings) {
  Log& log = the_log();
  const MutexLock lock(log.mutex);
  log.level.store(settings.level, std::memory_order_relaxed);
  log.settings = std::move(settings);
}

void set_sink(UniqueFd fd) {
  Log& log = the_log();
  const MutexLock lock(log.mutex);
  log.sink.reset();
  log.fd = std::move(fd);
  log.looked = false;
  open_sink(log);
}

void look_at_sink() {
  Log& log = the_log();
  const MutexLock lock(log.mutex);
  open_sink(log);
}

void name_thread(const char* name) {
  thread_name.fill('\0');
  std::strncpy(thread_name.data(), name, thread_name.size() - 1);
  ::prctl(PR_SET_NAME, thread_name.data());
}

const Metrics& metrics() { return the_log().metrics; }

bool enabled(Level level) { return level <= the_log().level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view text, std::source_location where) {
  write_of(0, level, text, where);
}

void write_of(std::size_t subject, Level level, std::string_view text, std::source_location where) {
  Log& log = the_log();
  const MutexLock lock(log.mutex);
  if (level > log.settings.level) return;
  if (!log.settings.module.empty() && !module_begins_with(where.file_name(), log.settings.module)) {
    return;
  }
  const auto verdict = log.sites.admit({where.file_name(), where.line(), where.column(), subject},
                                       log.now != nullptr ? log.now() : monotonic());
  if (!verdict.admitted) {
    ++log.metrics.rate_limited_log_count;
    return;
  }
  if (verdict.left_out > 0) {
    put_line(
        log, level,
        fmt::format("{} lines from this place were left out: it may log {} in {} s",
                    verdict.left_out, CallSites::kLines,
                    std::chrono::duration_cast<std::chrono::seconds>(CallSites::kWindow).count()),
        where);
  }
  put_line(log, level, text, where);
}

void use_clock(std::chrono::nanoseconds (*now)()) {
  Log& log = the_log();
  const MutexLock lock(log.mutex);
  log.now = now;
}

}  // namespace mote::log

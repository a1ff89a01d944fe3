#include "api/firecracker/logger.h"

#include <fcntl.h>

#include "base/json.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace mote::api::firecracker {

Result<void> check(const LoggerConfig& config) {
  if (config.level && !log::level_from_name(*config.level)) {
    return fail(ErrorKind::kInvalid,
                "level is {}; it must be Off, Error, Warning, Info, Debug or Trace",
                json::quote(*config.level));
  }
  if (config.log_path && config.log_path->find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "log_path is {}; it must be without NUL characters",
                json::quote(*config.log_path));
  }
  return {};
}

Result<void> apply(const LoggerConfig& config) {
  MOTE_CHECK(check(config));
  UniqueFd file;
  if (config.log_path) {
    // Read-write, so that a FIFO opens before somebody reads it; non-blocking, so that a reader who
    // stops costs lines and not the guest's time.
    auto opened = open_file(*config.log_path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK, 0644);
    if (!opened) return std::unexpected(std::move(opened.error()).within("log_path"));
    file = std::move(*opened);
  }
  log::Settings settings = log::settings();
  if (config.level) settings.level = *log::level_from_name(*config.level);
  if (config.show_level) settings.show_level = *config.show_level;
  if (config.show_log_origin) settings.show_origin = *config.show_log_origin;
  if (config.module) settings.module = *config.module;
  log::configure(std::move(settings));
  if (file) log::set_sink(std::move(file));
  return {};
}

}  // namespace mote::api::firecracker

// FailureLog is what the log has heard of the failures of one thing, such as a disk among disks.
// What makes a thing fail mostly makes it fail over and over, so each kind of failure is one line:
// whoever meets them counts them all.
#pragma once

#include <array>
#include <cstddef>
#include <source_location>
#include <string_view>

#include "base/log.h"

namespace mote::log {

class FailureLog {
 public:
  // Kinds that are told; a thing that fails in yet another way has been noticed by then.
  static constexpr std::size_t kMostKinds = 8;

  // Writes the line `name``text`, unless there was one of that kind: texts are of one kind when
  // they differ in nothing but numbers, as those of requests at several offsets of a disk do. What
  // others have had said of them by the caller leaves the thing called `name` as much.
  void tell(Level level, std::string_view name, std::string_view text,
            std::source_location where = std::source_location::current());
  void tell(Level level, std::string_view name, const Error& error,
            std::source_location where = std::source_location::current()) {
    tell(level, name, ": " + error.text(), where);
  }

 private:
  std::array<std::size_t, kMostKinds> told_{};
  std::size_t kinds_ = 0;
};

}  // namespace mote::log

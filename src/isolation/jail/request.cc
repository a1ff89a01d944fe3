#include "isolation/jail/request.h"

#include <ctime>

namespace mote::isolation::jail {
namespace {

std::uint64_t microseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

StartTimes StartTimes::now() {
  return {.monotonic = microseconds(CLOCK_MONOTONIC),
          .cpu = microseconds(CLOCK_PROCESS_CPUTIME_ID)};
}

std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (slash != 0) parts.emplace_back(path.substr(0, slash));
    if (slash == path.npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

}  // namespace mote::isolation::jail

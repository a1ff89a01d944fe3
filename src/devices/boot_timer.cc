#include "devices/boot_timer.h"

#include <ctime>

#include "base/log.h"

namespace mote::devices {
namespace {

std::chrono::microseconds clock_now(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

BootTimer::Start BootTimer::now() {
  return {.monotonic = clock_now(CLOCK_MONOTONIC), .cpu_before = {}};
}

void BootTimer::write_register(std::uint64_t offset, std::uint8_t value) {
  if (offset != 0 || value != kBootTimerSignal) return note_missed_write();
  const auto wall = (clock_now(CLOCK_MONOTONIC) - start_.monotonic).count();
  const auto cpu = (clock_now(CLOCK_PROCESS_CPUTIME_ID) + start_.cpu_before).count();
  // The field names and their order are what the peer's users look for.
  log::info("Guest-boot-time = {:6} us {} ms, {:6} CPU us {} CPU ms", wall, wall / 1000, cpu,
            cpu / 1000);
}

}  // namespace mote::devices

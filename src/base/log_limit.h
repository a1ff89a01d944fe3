// CallSites is the limit on what one place in the program may say: a guest or a client that makes
// it speak over and over fills no disk.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace mote::log {

class CallSites {
 public:
  // So many lines in so much time, from the first of them on.
  static constexpr std::uint32_t kLines = 10;
  static constexpr std::chrono::nanoseconds kWindow = std::chrono::seconds(5);

  // A place in the program; `file` lives as long as it.
  struct Place {
    const char* file = nullptr;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::size_t subject = 0;  // of which of several things it speaks there
    bool operator==(const Place&) const = default;
  };
  struct Verdict {
    bool admitted = true;
    // With a line that is admitted: how many were left out since the last that was.
    std::uint64_t left_out = 0;
  };
  // Whether `place` may say a line at `now`, which never goes back.
  Verdict admit(const Place& place, std::chrono::nanoseconds now);

 private:
  struct Site {
    Place place;
    std::chrono::nanoseconds since{};  // the window's begin
    std::uint32_t lines = 0;           // in it
    std::uint64_t left_out = 0;
  };
  Site& find(const Place& place, std::chrono::nanoseconds now);

  // Those that have said something, in the order in which they did first. When they are too many,
  // the one that has been silent longest is forgotten.
  std::array<Site, 128> sites_{};
  std::size_t used_ = 0;
};

}  // namespace mote::log

// What a target is: run() makes something of any bytes, and returns unless it found a defect.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <span>
#include <string>
#include <vector>

namespace mote::fuzz {

// Each target defines these two.
void run(std::span<const std::uint8_t> bytes);
// Inputs to begin with, such as a whole file in the format that is parsed.
std::vector<std::string> seeds();

// A property that no input may break: ends the process, which is a finding.
inline void require(bool holds, const char* property,
                    std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: does not hold: %s\n", where.file_name(),
               static_cast<unsigned>(where.line()), property);
  std::abort();
}

}  // namespace mote::fuzz

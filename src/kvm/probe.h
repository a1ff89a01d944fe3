// The probe tells a KVM with hardware behind it from one that only says so: it runs a small guest
// in ring 0 and looks at what its instructions do and how fast they are. What cpuinfo says is not
// asked.
#pragma once

#include <cstdint>
#include <string>

namespace mote::kvm {

enum class Usability {
  kUsable,    // runs ordinary guests
  kUnusable,  // there is one, but it is forbidden, lacks what mote needs, or emulates ring 0
  kAbsent,    // there is none
};

struct ProbeResult {
  Usability usability = Usability::kAbsent;
  std::string reason;            // why not usable, as a sentence without its full stop; else empty
  std::uint32_t ring0_mips = 0;  // millions of ring-0 instructions a second; 0: not measured
};

// A KVM that emulates ring 0 does 2 to 3 million instructions a second, hardware some thousand, and
// nested virtualisation on an emulated processor tens at least.
inline constexpr std::uint32_t kLeastRing0Mips = 10;

// Looks at the KVM behind `path`, for at most a few seconds. SIGALRM and ITIMER_REAL are used
// meanwhile, and put back.
ProbeResult probe(const std::string& path = "/dev/kvm");

}  // namespace mote::kvm

// The filters that mote-vmm has when it is given no others. They are made of the tables
// (src/**/*.rules) when it is built.
#pragma once

#include <cstdint>
#include <string_view>

#include "isolation/seccomp/program.h"

namespace mote::seccomp {

enum class Filter : std::uint8_t {
  kSetup,   // the machine thread until the machine is made; all others start under it
  kLaunch,  // the same where there is no API, and so no snapshot
  kVmm,     // the machine thread from before the guest's first instruction on
  kServed,  // the same where there is an API, whose clients may ask for more
  kApi,
  kVcpu,
  kWorker,
};
// As tables and files of filters call it.
std::string_view name_of(Filter filter);

Program built_in(Filter filter);

// The name of a system call of this architecture, or `unknown`. May be called in a signal's
// handler.
std::string_view call_name(int number);

}  // namespace mote::seccomp

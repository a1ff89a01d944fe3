// The tables of mote-vmm's own filters (src/**/*.rules), for those who want to read or to change
// them.
#pragma once

#include "isolation/seccomp/rules.h"

namespace mote::seccomp {

// As the filters were made of them.
Result<RuleSet> built_in_rules();

}  // namespace mote::seccomp

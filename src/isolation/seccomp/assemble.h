// Makes the kernel's program of a decision.
#pragma once

#include "isolation/seccomp/decision.h"
#include "isolation/seccomp/program.h"

namespace mote::seccomp {

// The program that asks from `root` on. It may be longer than the kernel takes.
OwnedProgram assemble(const Decision& decision, Decision::Node root);

}  // namespace mote::seccomp

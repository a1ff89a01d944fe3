// The CPU templates that Firecracker knows by name. Each makes processors of several generations
// look alike to a guest: it hides what not all of them have. They are held by tables of bits.
#pragma once

#include <cstdint>
#include <span>

#include "arch/x86_64/cpu_modifiers.h"
#include "arch/x86_64/cpuid.h"
#include "base/result.h"

namespace mote::arch {

enum class StaticTemplate : std::uint8_t { kC3, kT2, kT2S, kT2CL, kT2A };

// What the template changes, whatever the processor.
CpuModifiers modifiers_of(StaticTemplate wanted);

// Whether it may be used on the processor that `supported` (KVM_GET_SUPPORTED_CPUID) is of. An
// error names the processors that it was made for, and this one.
Result<void> check_processor(StaticTemplate wanted, std::span<const CpuidEntry> supported);

}  // namespace mote::arch

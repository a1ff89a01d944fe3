// The 8254's registers and the speaker's port over KVM's saved form of them, as KVM's own timer has
// them (arch/x86/kvm/i8254.c): for the accesses that come before there is that timer.
#pragma once

#include <linux/kvm.h>

#include <cstdint>

namespace mote::arch {

// Ports: three counters and the control word from kPitPort on, and the speaker's.
inline constexpr std::uint64_t kPitPort = 0x40;
inline constexpr std::uint64_t kPitPorts = 4;
inline constexpr std::uint64_t kSpeakerPort = 0x61;

// What a write of `value` to `port`, one of these, makes of a timer. `now_ns`: CLOCK_MONOTONIC.
// No count is latched: of a counter that was never given a mode KVM latches none either.
void write_pit(kvm_pit_state2& pit, std::uint64_t port, std::uint8_t value, std::uint64_t now_ns);

// What a timer that has just been made reads as. It changes nothing of one.
std::uint8_t read_pit(const kvm_pit_state2& pit, std::uint64_t port, std::uint64_t now_ns);

}  // namespace mote::arch

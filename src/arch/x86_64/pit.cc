#include "arch/x86_64/pit.h"

#include <iterator>

namespace mote::arch {
namespace {

constexpr std::uint64_t kControlPort = kPitPort + 3;
constexpr unsigned kReadBack = 3;  // where a control word names its counter
constexpr unsigned kSpeakerCounter = 2;

// How a counter is read and written (bits 4 and 5 of a control word), and the second half of a
// word.
enum Access : std::uint8_t { kLatch = 0, kLow = 1, kHigh = 2, kWord = 3, kWordsHigh = 4 };

// Modes 6 and 7 are 2 and 3 once more.
std::uint8_t mode_of(std::uint8_t control) {
  const unsigned mode = control >> 1 & 7U;
  return static_cast<std::uint8_t>(mode > 5 ? mode - 4 : mode);
}

// Outputs are low, as those of counters that have just begun.
void read_back(kvm_pit_state2& pit, std::uint8_t control) {
  constexpr unsigned kNoStatus = 0x10;
  for (unsigned counter = 0; counter < std::size(pit.channels); ++counter) {
    kvm_pit_channel_state& channel = pit.channels[counter];
    if ((control & 2U << counter) == 0 || (control & kNoStatus) != 0 || channel.status_latched != 0)
      continue;
    channel.status =
        static_cast<std::uint8_t>(channel.rw_mode << 4 | channel.mode << 1 | channel.bcd);
    channel.status_latched = 1;
  }
}

void write_control(kvm_pit_state2& pit, std::uint8_t control) {
  const unsigned counter = control >> 6;
  const auto access = static_cast<std::uint8_t>(control >> 4 & 3U);
  if (counter == kReadBack) return read_back(pit, control);
  if (access == kLatch) return;
  kvm_pit_channel_state& channel = pit.channels[counter];
  channel.rw_mode = channel.read_state = channel.write_state = access;
  channel.mode = mode_of(control);
  channel.bcd = control & 1U;
}

void load(kvm_pit_channel_state& channel, unsigned count, std::uint64_t now_ns) {
  constexpr unsigned kLargest = 0x10000;  // which 0 stands for
  channel.count = count == 0 ? kLargest : count;
  channel.count_load_time = static_cast<std::int64_t>(now_ns);
}

void write_count(kvm_pit_channel_state& channel, std::uint8_t value, std::uint64_t now_ns) {
  switch (channel.write_state) {
    case kHigh:
      return load(channel, unsigned{value} << 8, now_ns);
    case kWord:
      channel.write_latch = value;
      channel.write_state = kWordsHigh;
      return;
    case kWordsHigh:
      channel.write_state = kWord;
      return load(channel, channel.write_latch | unsigned{value} << 8, now_ns);
    default:
      return load(channel, value, now_ns);
  }
}

// Bit 0 is the gate of the speaker's counter, which in most modes begins anew as it opens; bit 1
// lets the counter through to the speaker.
void write_speaker(kvm_pit_state2& pit, std::uint8_t value, std::uint64_t now_ns) {
  kvm_pit_channel_state& channel = pit.channels[kSpeakerCounter];
  const std::uint8_t gate = value & 1U;
  const bool begins =
      channel.mode == 1 || channel.mode == 2 || channel.mode == 3 || channel.mode == 5;
  if (begins && gate > channel.gate) {
    channel.count_load_time = static_cast<std::int64_t>(now_ns);
  }
  channel.gate = gate;
  constexpr std::uint32_t kDataOn = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
  pit.flags = (value & 2U) != 0 ? pit.flags | kDataOn : pit.flags & ~kDataOn;
}

}  // namespace

void write_pit(kvm_pit_state2& pit, std::uint64_t port, std::uint8_t value, std::uint64_t now_ns) {
  if (port == kSpeakerPort) return write_speaker(pit, value, now_ns);
  if (port == kControlPort) return write_control(pit, value);
  write_count(pit.channels[port - kPitPort], value, now_ns);
}

std::uint8_t read_pit(const kvm_pit_state2& pit, std::uint64_t port, std::uint64_t now_ns) {
  // Counters begin at 65536, whose lower byte is 0, and no output is high yet.
  if (port != kSpeakerPort) return 0;
  const unsigned refresh = now_ns >> 14 & 1U;  // a clock that some wait by
  const unsigned data_on = (pit.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) != 0 ? 1 : 0;
  return static_cast<std::uint8_t>(pit.channels[kSpeakerCounter].gate | data_on << 1 |
                                   refresh << 4);
}

}  // namespace mote::arch

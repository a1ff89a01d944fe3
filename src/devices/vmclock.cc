#include "devices/vmclock.h"

#include <cstddef>

namespace mote::devices {
namespace {

// struct vmclock_abi of Linux, which kernels before 6.13 have no header of.
struct Page {
  std::uint32_t magic;
  std::uint32_t size;  // of the page
  std::uint16_t version;
  std::uint8_t counter_id;
  std::uint8_t time_type;
  std::uint32_t seq_count;
  std::uint64_t disruption_marker;
  std::uint64_t flags;
  std::uint8_t pad[2];
  std::uint8_t clock_status;
  std::uint8_t leap_second_smearing_hint;
  std::uint16_t tai_offset_sec;
  std::uint8_t leap_indicator;
  std::uint8_t counter_period_shift;
  std::uint64_t counter_value;
  std::uint64_t counter_period_frac_sec;
  std::uint64_t counter_period_esterror_rate_frac_sec;
  std::uint64_t counter_period_maxerror_rate_frac_sec;
  std::uint64_t time_sec;
  std::uint64_t time_frac_sec;
  std::uint64_t time_esterror_nanosec;
  std::uint64_t time_maxerror_nanosec;
  std::uint64_t vm_generation_counter;
};
static_assert(offsetof(Page, disruption_marker) == 16 && offsetof(Page, clock_status) == 34);
static_assert(offsetof(Page, vm_generation_counter) == 104 && sizeof(Page) == 112);

constexpr std::uint32_t kMagic = 0x4b4c4356;  // "VCLK"
constexpr std::uint16_t kVersion = 1;
constexpr std::uint8_t kNoCounter = 0xff;
constexpr std::uint64_t kHasGenerationCounter = 1 << 8;
constexpr std::uint64_t kNotifies = 1 << 9;

Result<memory::GuestSlice> page_at(const memory::GuestMemory& memory, std::uint64_t address) {
  if (address % kVmClockSize != 0) {
    return fail(ErrorKind::kInvalid, "VMClock at {:#x}: the address must be a multiple of {}",
                address, kVmClockSize);
  }
  auto page = memory.slice(address, kVmClockSize);
  if (!page) return std::unexpected(std::move(page.error()).within("VMClock"));
  return page;
}

}  // namespace

Result<VmClock> VmClock::create(const memory::GuestMemory& memory, std::uint64_t address,
                                bus::Interrupt& interrupt) {
  MOTE_TRY(const memory::GuestSlice page, page_at(memory, address));
  Page content{};
  content.magic = kMagic;
  content.size = kVmClockSize;
  content.version = kVersion;
  content.counter_id = kNoCounter;
  content.flags = kHasGenerationCounter | kNotifies;
  static_cast<void>(page.write(0, content));
  return VmClock(page, interrupt, {.address = address});
}

Result<VmClock> VmClock::restore(const VmClockState& state, const memory::GuestMemory& memory,
                                 bus::Interrupt& interrupt) {
  if (state.sequence % 2 != 0) {
    return fail(ErrorKind::kInvalid,
                "VMClock state: sequence {} is that of a page in the middle "
                "of a change",
                state.sequence);
  }
  MOTE_TRY(const memory::GuestSlice page, page_at(memory, state.address));
  return VmClock(page, interrupt, state);
}

void VmClock::disrupt() {
  // Whoever reads the page meanwhile sees an odd sequence, or another than before, and reads it
  // again.
  page_.store(offsetof(Page, seq_count), state_.sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  ++state_.disruption_marker;
  ++state_.generation;
  page_.store(offsetof(Page, disruption_marker), state_.disruption_marker,
              std::memory_order_relaxed);
  page_.store(offsetof(Page, vm_generation_counter), state_.generation, std::memory_order_relaxed);
  state_.sequence += 2;
  page_.store(offsetof(Page, seq_count), state_.sequence, std::memory_order_release);
  interrupt_->trigger();
}

}  // namespace mote::devices

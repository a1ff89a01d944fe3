#include "devices/vmgenid.h"

#include <sys/random.h>

#include <span>

namespace mote::devices {
namespace {

Result<void> check_address(const memory::GuestMemory& memory, std::uint64_t address) {
  if (address % 8 != 0) {
    return fail(ErrorKind::kInvalid, "generation ID at {:#x}: the address must be a multiple of 8",
                address);
  }
  MOTE_CHECK_WITHIN(memory.slice(address, sizeof(VmGenIdState::value)), "generation ID");
  return {};
}

}  // namespace

Result<VmGenId> VmGenId::create(const memory::GuestMemory& memory, std::uint64_t address,
                                bus::Interrupt& interrupt) {
  MOTE_CHECK(check_address(memory, address));
  VmGenId made(memory, interrupt, {.address = address, .value = {}});
  MOTE_CHECK(made.write_fresh());
  return made;
}

Result<VmGenId> VmGenId::restore(const VmGenIdState& state, const memory::GuestMemory& memory,
                                 bus::Interrupt& interrupt) {
  MOTE_CHECK(check_address(memory, state.address));
  return VmGenId(memory, interrupt, state);
}

Result<void> VmGenId::regenerate() {
  MOTE_CHECK(write_fresh());
  interrupt_->trigger();
  return {};
}

Result<void> VmGenId::write_fresh() {
  // 16 bytes come whole: the kernel interrupts only requests of more than 256.
  if (::getrandom(state_.value.data(), state_.value.size(), 0) !=
      static_cast<ssize_t>(state_.value.size())) {
    return fail_errno(errno, "random bytes for the generation ID");
  }
  return memory_->write(state_.address, std::as_bytes(std::span(state_.value)));
}

}  // namespace mote::devices

#include "machine/board.h"

#include <csignal>

#include "arch/x86_64/layout.h"

#ifdef MOTE_TEST_BACKDOOR
#include "tests/isolation/backdoor/backdoor.h"
#endif

namespace mote::machine {

namespace layout = arch::layout;

namespace {

struct MemorySplit {
  std::uint64_t below_4g = 0;
  std::uint64_t above_4g = 0;
};

MemorySplit split(const memory::GuestMemory& memory) {
  MemorySplit found;
  for (const memory::RegionView& region : memory.regions()) {
    (region.range.start < layout::kMmio32End ? found.below_4g : found.above_4g) +=
        region.range.size;
  }
  return found;
}

}  // namespace

Board::Board(const kvm::Vm& vm)
    : com1_line_(vm, layout::kCom1Gsi),
      com2_line_(vm, layout::kCom2Gsi),
      keyboard_line_(vm, layout::kKeyboardGsi),
      vmgenid_line_(vm, layout::kVmGenIdGsi),
      vmclock_line_(vm, layout::kVmClockGsi) {}

Result<std::unique_ptr<Board>> Board::create(const BoardSite& site, const BoardOptions& options,
                                             const devices::EndSink& end, const BoardState* state) {
  std::unique_ptr<Board> board(new Board(site.vm));
  MOTE_CHECK(board->make_serial_ports(site, options, end, state));
  MOTE_CHECK(board->make_chips(site, end, state));
  MOTE_CHECK(board->make_optional_chips(site, options, end));
  return board;
}

Result<void> Board::make_serial_ports(const BoardSite& site, const BoardOptions& options,
                                      const devices::EndSink& end, const BoardState* state) {
  MOTE_TRY(com1_,
           SerialPort::create({.loop = site.loop,
                               .interrupt = com1_line_,
                               .posted = site.posted,
                               .port = devices::kCom1Port},
                              options.com1, nullptr, state == nullptr ? nullptr : &state->com1));
  MOTE_CHECK(site.ports.insert(devices::kCom1Port, devices::kSerialPorts, com1_->chip()));
  if (!options.com2) return {};
  const bool saved = state != nullptr && state->com2;
  // The second port is a command's streams, and a command that writes where nobody reads is ended
  // by that signal.
  const auto on_broken = [end] {
    end({.reason = devices::EndReason::kSignal,
         .status = SIGPIPE,
         .message = "nobody reads the output any more"});
  };
  MOTE_TRY(com2_, SerialPort::create({.loop = site.loop,
                                      .interrupt = com2_line_,
                                      .posted = site.posted,
                                      .port = devices::kCom2Port},
                                     *options.com2, on_broken, saved ? &*state->com2 : nullptr));
  return site.ports.insert(devices::kCom2Port, devices::kSerialPorts, com2_->chip());
}

Result<void> Board::make_chips(const BoardSite& site, const devices::EndSink& end,
                               const BoardState* state) {
  if (state == nullptr) {
    const MemorySplit memory = split(site.memory);
    i8042_ = std::make_unique<devices::I8042>(keyboard_line_, end);
    rtc_ = std::make_unique<devices::Rtc>(memory.below_4g, memory.above_4g);
    MOTE_TRY(vmgenid_, devices::VmGenId::create(site.memory, layout::kVmGenId, vmgenid_line_));
    MOTE_TRY(vmclock_, devices::VmClock::create(site.memory, layout::kVmClock, vmclock_line_));
  } else {
    MOTE_TRY(i8042_, devices::I8042::restore(state->i8042, keyboard_line_, end));
    MOTE_TRY(rtc_, devices::Rtc::restore(state->rtc));
    MOTE_TRY(vmgenid_, devices::VmGenId::restore(state->vmgenid, site.memory, vmgenid_line_));
    MOTE_TRY(vmclock_, devices::VmClock::restore(state->vmclock, site.memory, vmclock_line_));
    // Whoever was saved may be restored more than once: each is another machine than before.
    MOTE_CHECK(vmgenid_->regenerate());
    vmclock_->disrupt();
  }
  acpi_pm_ = std::make_unique<devices::AcpiPm>(end);
  // The second of its ports is the speaker's.
  MOTE_CHECK(site.ports.insert(devices::kI8042Port, 1, *i8042_));
  MOTE_CHECK(site.ports.insert(devices::kI8042Port + 2, devices::kI8042Ports - 2, *i8042_, 2));
  MOTE_CHECK(site.ports.insert(devices::kRtcPort, devices::kRtcPorts, *rtc_));
  return site.ports.insert(devices::kSleepControlPort, devices::kAcpiPmPorts, *acpi_pm_);
}

Result<void> Board::make_optional_chips(const BoardSite& site, const BoardOptions& options,
                                        const devices::EndSink& end) {
  if (options.pit) {
    timer_ = std::make_unique<IntervalTimer>(site.vm, end);
    MOTE_CHECK(timer_->put_on(site.ports));
  }
  if (options.exit_port) {
    exit_port_ = std::make_unique<devices::ExitPort>(end);
    MOTE_CHECK(site.ports.insert(devices::kExitPort, 1, *exit_port_));
  }
  if (options.boot_timer) {
    boot_timer_ = std::make_unique<devices::BootTimer>(*options.boot_timer);
    MOTE_CHECK(site.mmio.insert(layout::kBootTimer, devices::kBootTimerSize, *boot_timer_));
  }
#ifdef MOTE_TEST_BACKDOOR
  MOTE_CHECK(site.ports.insert(backdoor::kPort, 1, backdoor::port()));
#endif
  return {};
}

void Board::start_input() {
  com1_->start_input();
  if (com2_) com2_->start_input();
}

void Board::release_output() {
  com1_->chip().release_output();
  if (com2_) com2_->chip().release_output();
}

void Board::count(MachineCounts& into) const {
  into.serial = com1_->metrics();
  if (com2_) merge(into.serial, com2_->metrics());
  into.i8042 = i8042_->metrics();
}

BoardState Board::save() const {
  BoardState state{.com1 = com1_->chip().save(),
                   .com2 = {},
                   .i8042 = i8042_->save(),
                   .rtc = rtc_->save(),
                   .vmgenid = vmgenid_->save(),
                   .vmclock = vmclock_->save()};
  if (com2_) state.com2 = com2_->chip().save();
  return state;
}

}  // namespace mote::machine

// Board is the machine's plain chips, each on its bus and its interrupt line.
#pragma once

#include <boost/describe/class.hpp>
#include <memory>
#include <optional>

#include "base/event_loop.h"
#include "bus/bus.h"
#include "devices/acpi_pm.h"
#include "devices/boot_timer.h"
#include "devices/end.h"
#include "devices/exit_port.h"
#include "devices/i8042.h"
#include "devices/rtc.h"
#include "devices/vmclock.h"
#include "devices/vmgenid.h"
#include "kvm/kvm.h"
#include "machine/interval_timer.h"
#include "machine/irq_line.h"
#include "machine/metrics.h"
#include "machine/serial_port.h"
#include "memory/guest_memory.h"

namespace mote::machine {

struct BoardState {
  devices::SerialState com1;
  std::optional<devices::SerialState> com2;
  devices::I8042State i8042;
  devices::RtcState rtc;
  devices::VmGenIdState vmgenid;
  devices::VmClockState vmclock;
};
BOOST_DESCRIBE_STRUCT(BoardState, (), (com1, com2, i8042, rtc, vmgenid, vmclock))

// Which chips there are, beside those that every machine has.
struct BoardOptions {
  SerialLine com1;
  std::optional<SerialLine> com2;
  bool pit = true;  // which a guest gets as it uses it
  bool exit_port = false;
  std::optional<devices::BootTimer::Start> boot_timer;
};

// What the board is put on. All outlive it.
struct BoardSite {
  EventLoop& loop;
  const kvm::Vm& vm;
  const memory::GuestMemory& memory;
  bus::Bus& ports;
  bus::Bus& mmio;
  kvm::PostedWrites& posted;
};

class Board {
 public:
  // The chips as after power-on, or as `state` says. `end` gets what a chip says of the VM's end.
  static Result<std::unique_ptr<Board>> create(const BoardSite& site, const BoardOptions& options,
                                               const devices::EndSink& end,
                                               const BoardState* state);
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;

  // Lets input flow to the serial ports.
  void start_input();
  // Output that waits for more leaves now.
  void release_output();
  // While no vCPU runs.
  BoardState save() const;
  // Both serial ports together, and the keyboard controller.
  void count(MachineCounts& into) const;
  // Presses Ctrl-Alt-Del on the guest's keyboard.
  Result<void> press_ctrl_alt_del() { return i8042_->trigger_ctrl_alt_del(); }

 private:
  explicit Board(const kvm::Vm& vm);

  Result<void> make_serial_ports(const BoardSite& site, const BoardOptions& options,
                                 const devices::EndSink& end, const BoardState* state);
  Result<void> make_chips(const BoardSite& site, const devices::EndSink& end,
                          const BoardState* state);
  Result<void> make_optional_chips(const BoardSite& site, const BoardOptions& options,
                                   const devices::EndSink& end);

  IrqLine com1_line_;
  IrqLine com2_line_;
  IrqLine keyboard_line_;
  IrqLine vmgenid_line_;
  IrqLine vmclock_line_;
  std::unique_ptr<SerialPort> com1_;
  std::unique_ptr<SerialPort> com2_;
  std::unique_ptr<devices::I8042> i8042_;
  std::unique_ptr<devices::Rtc> rtc_;
  std::unique_ptr<devices::AcpiPm> acpi_pm_;
  std::unique_ptr<IntervalTimer> timer_;
  std::optional<devices::VmGenId> vmgenid_;
  std::optional<devices::VmClock> vmclock_;
  std::unique_ptr<devices::ExitPort> exit_port_;
  std::unique_ptr<devices::BootTimer> boot_timer_;
};

}  // namespace mote::machine

#include "programs/mote_vmm/monitor.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <optional>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/terminal.h"
#include "machine/machine.h"
#include "programs/mote_vmm/signals.h"

namespace mote::vmm {
namespace {

using devices::End;
using devices::EndReason;

// What is left of a VM then (its memory, KVM's part of it) the kernel takes down as one, in less
// time than piece by piece. Not where leaks are looked for at the end of main().
#if __has_feature(address_sanitizer)
constexpr bool kKernelTakesDown = false;
#else
constexpr bool kKernelTakesDown = true;
#endif

const char* name_of(EndReason reason) {
  switch (reason) {
    case EndReason::kReset:
      return "reset";
    case EndReason::kPowerOff:
      return "shutdown";
    case EndReason::kExitPort:
      return "exit-port";
    case EndReason::kTripleFault:
      return "triple-fault";
    case EndReason::kError:
      return "error";
    case EndReason::kSignal:
      return "signal";
  }
  return "error";
}

void tell(const End& end, int end_fd) {
  if (end.reason == EndReason::kError) {
    log::error("The microVM ended: {}", end.message);
  } else {
    log::info("The microVM ended: {}{}{}", name_of(end.reason), end.message.empty() ? "" : ", ",
              end.message);
  }
  if (end_fd < 0) return;
  const std::string report = end_report(end) + "\n";
  // Nobody may listen any more, which changes nothing of the end.
  static_cast<void>(write_all(end_fd, std::as_bytes(std::span(report))));
}

}  // namespace

std::string end_report(const End& end) {
  const boost::json::object report{
      {"reason", name_of(end.reason)}, {"status", end.status}, {"message", end.message}};
  return boost::json::serialize(report);
}

Result<End> run_monitor(MonitorSettings settings) {
  machine::kMachineThread.assert_held();
  MOTE_TRY(const auto loop, EventLoop::create());
  metadata::Store metadata;
  metadata::MmdsMetrics metadata_metrics;
  if (settings.metadata) MOTE_CHECK(metadata.put_file(*settings.metadata));
  std::optional<End> ended;
  MOTE_TRY(const auto machine, machine::Machine::boot(*loop, settings.config,
                                                      {.board = settings.board,
                                                       .metadata = &metadata,
                                                       .metadata_metrics = &metadata_metrics,
                                                       .on_end = [&](const End& end) {
                                                         ended = end;
                                                         loop->stop();
                                                       }}));
  MOTE_TRY(const Signals signals, Signals::watch(*loop, [&machine = *machine](int signal) {
             machine::kMachineThread.assert_held();
             if (signal == SIGWINCH) {
               if (auto* console = machine.find<virtio::Console>()) console->window_changed();
               return;
             }
             machine.end({.reason = EndReason::kSignal,
                          .status = static_cast<std::uint8_t>(signal),
                          .message = fmt::format("by SIG{}", ::sigabbrev_np(signal))});
           }));
  // Last, so that a machine that cannot be made leaves the terminal as it was.
  MOTE_TRY(auto terminal, RawTerminal::enter(settings.terminal));
  MOTE_CHECK(machine->run());
  MOTE_CHECK(loop->run());
  terminal.reset();
  machine->close_devices();
  tell(*ended, settings.end_fd);
  if constexpr (kKernelTakesDown) ::_exit(exit_status(*ended));
  return *ended;
}

int exit_status(const End& end) {
  if (end.reason == EndReason::kExitPort) return end.status;
  if (end.reason == EndReason::kError) return kExitError;
  if (end.reason != EndReason::kSignal) return kExitOk;
  if (end.status == SIGHUP) return kExitHangUp;
  die_by(end.status);
}

}  // namespace mote::vmm

#include "programs/mote_vmm/ending.h"

#include <signal.h>
#include <string.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/log.h"
#include "base/unique_fd.h"
#include "programs/mote_vmm/client_lines.h"
#include "programs/mote_vmm/signals.h"

namespace mote::vmm {

using devices::End;
using devices::EndReason;

namespace {

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

}  // namespace

void close_devices(machine::Machine& machine) {
  auto* const vsock = machine.find<virtio::Vsock>();
  if (vsock != nullptr && client_lines::expected()) vsock->leave_socket();
  machine.close_devices();
}

void tell(const End& end, int end_fd) {
  if (end.reason == EndReason::kError) {
    log::error("The microVM ended: {}", end.message);
  } else {
    log::info("The microVM ended: {}{}{}", name_of(end.reason), end.message.empty() ? "" : ", ",
              end.message);
  }
  if (end.reason == EndReason::kSignal) {
    client_lines::ended_by_signal(end.status, 0);
  } else if (end.reason != EndReason::kError) {
    client_lines::ended(exit_status(end));
  }
  if (end_fd < 0) return;
  const std::string report = end_report(end) + "\n";
  // Nobody may listen any more, which changes nothing of the end.
  static_cast<void>(write_all(end_fd, std::as_bytes(std::span(report))));
}

std::string end_report(const End& end) {
  const boost::json::object report{
      {"reason", name_of(end.reason)}, {"status", end.status}, {"message", end.message}};
  return boost::json::serialize(report);
}

End end_by_signal(int signal) {
  return {.reason = EndReason::kSignal,
          .status = static_cast<std::uint8_t>(signal),
          .message = fmt::format("by SIG{}", ::sigabbrev_np(signal))};
}

int exit_status(const End& end) {
  if (end.reason == EndReason::kExitPort) return end.status;
  if (end.reason == EndReason::kError) return kExitError;
  if (end.reason != EndReason::kSignal) return kExitOk;
  if (const int status = status_of_signal(end.status)) return status;
  die_by(end.status);
}

}  // namespace mote::vmm

#include "programs/mote_vmm/last_words.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <string_view>

#include "base/log.h"
#include "isolation/seccomp/built_in.h"
#include "programs/mote_vmm/client_lines.h"
#include "programs/mote_vmm/exit_status.h"
#include "programs/mote_vmm/signals.h"

namespace mote::vmm {
namespace {

// A signal's handler has nothing else to know them by.
std::atomic<api::firecracker::Metrics*> the_metrics = nullptr;

// The thread's own name is in the line of the log. At most as long as a name of a call is.
std::string_view tell_bad_call(int call, const ucontext_t& context, std::span<char> into) {
  const std::string_view name = seccomp::call_name(call);
  const auto& registers = context.uc_mcontext.gregs;
  log::error(
      "System call {} ({}), with the arguments {:#x}, {:#x}, {:#x} and {:#x}, is not allowed here, "
      "which ends the monitor with status {}",
      call, name, registers[REG_RDI], registers[REG_RSI], registers[REG_RDX], registers[REG_R10],
      kExitBadSystemCall);
  const auto end = fmt::format_to_n(into.begin(), into.size(),
                                    R"("bad_syscall":{{"number":{},"name":"{}"}},)", call, name);
  return {into.data(), std::min(end.size, into.size())};
}

void write_last_line(const siginfo_t& fault, const ucontext_t& context) {
  std::array<char, 96> buffer;
  std::string_view more;
  if (fault.si_signo == SIGSYS && fault.si_code == kFromSeccomp)
    more = tell_bad_call(fault.si_syscall, context, buffer);
  if (fault.si_signo == SIGBUS && fault.si_code > 0) {
    log::error(
        "Memory that is mapped of a file cannot be had, which ends the monitor with status {}: a "
        "snapshot's memory file or a pmem was cut or cannot be read, or no huge page is left",
        kExitBus);
  }
  if (more.empty()) {
    client_lines::ended_by_signal(fault.si_signo, fault.si_code);
  } else {
    client_lines::ended_by_bad_call(fault.si_syscall);
  }
  auto* const metrics = the_metrics.load();
  if (metrics == nullptr) return;
  count_signal(metrics->counts, fault.si_signo);
  metrics->flush_at_fault(more);
}

// What was written to has no reader any more; the write says so as well.
void count_pipe(int) { ++the_metrics.load()->counts.signals.sigpipe; }

}  // namespace

void count_signal(api::firecracker::ProcessMetrics& counts, int signal) {
  switch (signal) {
    case SIGBUS:
      counts.signals.sigbus = 1;
      return;
    case SIGSEGV:
      counts.signals.sigsegv = 1;
      return;
    case SIGXFSZ:
      counts.signals.sigxfsz = 1;
      return;
    case SIGXCPU:
      counts.signals.sigxcpu = 1;
      return;
    case SIGHUP:
      counts.signals.sighup = 1;
      return;
    case SIGILL:
      counts.signals.sigill = 1;
      return;
    case SIGABRT:
      counts.vmm.panic_count = 1;
      return;
    case SIGSYS:
      counts.seccomp.num_faults = 1;
      return;
    default:
      return;
  }
}

void tell_faults() { set_last_words(write_last_line); }

void write_faults_to(api::firecracker::Metrics& metrics) {
  the_metrics = &metrics;
  tell_faults();
  struct sigaction action{};
  action.sa_handler = count_pipe;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace mote::vmm

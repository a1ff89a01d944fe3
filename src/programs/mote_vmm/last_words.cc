#include "programs/mote_vmm/last_words.h"

#include <signal.h>

#include <atomic>

#include "programs/mote_vmm/signals.h"

namespace mote::vmm {
namespace {

// A signal's handler has nothing else to know them by.
std::atomic<api::firecracker::Metrics*> the_metrics = nullptr;

void write_last_line(int signal) {
  auto* const metrics = the_metrics.load();
  count_signal(metrics->counts, signal);
  metrics->flush_at_fault();
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

void write_faults_to(api::firecracker::Metrics& metrics) {
  the_metrics = &metrics;
  set_last_words(write_last_line);
  struct sigaction action{};
  action.sa_handler = count_pipe;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace mote::vmm

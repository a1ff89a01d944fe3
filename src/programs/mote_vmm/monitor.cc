#include "programs/mote_vmm/monitor.h"

#include <signal.h>
#include <unistd.h>

#include <optional>

#include "base/event_loop.h"
#include "base/terminal.h"
#include "machine/machine.h"
#include "programs/mote_vmm/client_lines.h"
#include "programs/mote_vmm/confinement.h"
#include "programs/mote_vmm/ending.h"
#include "programs/mote_vmm/file_rules.h"
#include "programs/mote_vmm/last_words.h"
#include "programs/mote_vmm/signals.h"

namespace mote::vmm {

using devices::End;

Result<End> run_monitor(MonitorSettings settings) {
  machine::kMachineThread.assert_held();
  MOTE_TRY(const auto loop, EventLoop::create());
  metadata::Store metadata(settings.metadata_limit);
  api::firecracker::Metrics& metrics = *settings.metrics;
  if (settings.metadata) MOTE_CHECK(metadata.put_file(*settings.metadata));
  std::optional<End> ended;
  MOTE_TRY(const auto machine,
           machine::Machine::boot(*loop, settings.config,
                                  {.board = settings.board,
                                   .metadata = &metadata,
                                   .metadata_metrics = &metrics.counts.mmds,
                                   .on_end =
                                       [&](const End& end) {
                                         ended = end;
                                         loop->stop();
                                       },
                                   .head_start = std::move(settings.head_start)}));
  MOTE_TRY(const Signals signals,
           Signals::watch(*loop, [&machine = *machine, &metrics](int signal) {
             machine::kMachineThread.assert_held();
             if (signal == SIGWINCH) {
               if (auto* console = machine.find<virtio::Console>()) console->window_changed();
               return;
             }
             count_signal(metrics.counts, signal);
             machine.end(end_by_signal(signal));
           }));
  // Last, so that a machine that cannot be made leaves the terminal as it was.
  MOTE_TRY(auto terminal, RawTerminal::enter(settings.terminal));
  MOTE_CHECK(give_up_files(settings.allow_path, settings.config));
  MOTE_CHECK(confine_further(settings.config, /*served=*/false));
  MOTE_CHECK(machine->run());
  client_lines::file_started();
  MOTE_CHECK(metrics.start(
      *loop, [&machine = *machine](machine::MachineCounts& into) { machine.count(into); }));
  const auto ran = loop->run();
  metrics.stop();
  terminal.reset();
  MOTE_CHECK(ran);
  close_devices(*machine);
  tell(*ended, settings.end_fd);
  if constexpr (kKernelTakesDown) ::_exit(exit_status(*ended));
  return *ended;
}

}  // namespace mote::vmm

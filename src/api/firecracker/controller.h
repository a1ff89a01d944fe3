// Controller is what Firecracker's API means: the configuration under construction before the
// start, and the machine after it. It belongs to the machine thread, but for what it says of
// others. Each function is one request, whose body was read already; it takes effect whole or, with
// an error, not at all.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/firecracker/config_file.h"
#include "api/firecracker/live_machine.h"
#include "api/firecracker/logger.h"
#include "api/firecracker/metrics.h"
#include "api/firecracker/requests.h"
#include "api/firecracker/serial.h"
#include "api/firecracker/snapshot_requests.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "machine/claims.h"
#include "machine/config.h"
#include "machine/vcpu_thread.h"
#include "metadata/config.h"
#include "metadata/store.h"
#include "virtio/balloon/device.h"
#include "virtio/mem/device.h"

namespace mote::api::firecracker {

struct ControllerOptions {
  std::string id = "anonymous-instance";  // of the microVM
  std::string app_name = "mote-vmm";      // what the program is called
  std::string version;                    // mote's own
  MachineMaker make_machine;
  MachineRestorer restore_machine;
  snapshot::PageHandler::Lost pages_lost;
};

class Controller {
 public:
  // `loop` is the machine thread's; it and the store of the metadata service outlive the
  // controller.
  Controller(EventLoop& loop, metadata::Store& metadata, ControllerOptions options);
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Takes what a configuration file says, in place of what there was, as if its sections had been
  // put one by one. The host is not asked before start().
  Result<void> load(ConfigFile file);
  // Makes the machine that is configured; it runs from go_on() on. An error leaves the
  // configuration as it was, to be mended and tried again.
  Result<void> start();
  // Whether a request has been done after which the machine is to run. Whoever asked for it is
  // answered first: where the scheduler wakes a client behind a vCPU that has just begun, the
  // answer is there and the client does not get to see it for milliseconds.
  bool goes_on() const { return goes_on_; }
  // Lets it run.
  void go_on();
  // A load is to use this, where there was none yet; a start throws it away.
  void keep(std::unique_ptr<machine::Shell> shell) { shell_ = std::move(shell); }
  // Null before the start.
  LiveMachine* machine() { return machine_.get(); }
  // Of the machine and of all that counts beside it. They look at the machine until their stop().
  Metrics& metrics() { return metrics_; }

  // Always
  // ----------------------------------------------------------------------------------------------

  // These two from any thread.
  Result<InstanceInfo> instance() const;
  Result<VersionInfo> version() const;
  Result<FullConfig> full_config() const;
  Result<machine::MachineConfig> machine_config() const;
  Result<virtio::BalloonConfig> balloon();
  Result<void> act(Action action);
  Result<void> put_mmds(JsonText data);
  Result<void> patch_mmds(JsonText data);
  Result<JsonText> mmds() const;
  // Every counter as it stands, those of mote's own too; takes nothing from what FlushMetrics
  // writes.
  Result<JsonText> metrics_report() const;

  // Before the start: each error also says when it has come too late
  // ----------------------------------------------------------------------------------------------

  Result<void> put_boot_source(machine::BootSource config);
  Result<void> put_machine_config(machine::MachineConfig config);
  Result<void> patch_machine_config(MachineUpdate update);
  Result<void> put_cpu_config(machine::CpuConfig config);
  // A second one of the same id replaces the first.
  Result<void> put_drive(virtio::BlockConfig config);
  Result<void> put_interface(virtio::NetConfig config);
  Result<void> put_pmem(virtio::PmemConfig config);
  Result<void> put_vsock(virtio::VsockConfig config);
  Result<void> put_entropy(virtio::RngConfig config);
  Result<void> put_balloon(virtio::BalloonConfig config);
  Result<void> put_memory_hotplug(virtio::MemConfig config);
  Result<void> put_console(virtio::ConsoleConfig config);
  Result<void> put_serial(SerialConfig config);
  Result<void> put_logger(LoggerConfig config);
  // Once.
  Result<void> put_metrics(MetricsConfig config);
  Result<void> put_mmds_config(metadata::MmdsConfig config);

  // After the start: each error also says when it has come too early
  // ----------------------------------------------------------------------------------------------

  Result<void> patch_vm(VmUpdate update);
  Result<void> patch_drive(DriveUpdate update);
  Result<void> patch_interface(InterfaceUpdate update);
  Result<void> patch_pmem(PmemUpdate update);
  Result<void> patch_balloon(BalloonUpdate update);
  Result<virtio::BalloonStatistics> balloon_statistics();
  Result<void> patch_balloon_statistics(BalloonStatisticsUpdate update);
  Result<void> start_hinting(HintingStart how);
  Result<void> stop_hinting();
  Result<virtio::BalloonHintingStatus> hinting();
  Result<virtio::MemStatus> memory_status();
  Result<void> patch_memory(MemoryUpdate update);

  // Snapshots
  // ----------------------------------------------------------------------------------------------

  // After the start, paused. An error leaves what was at the paths. The loop goes on meanwhile, so
  // that others are answered, and its end is an error.
  Result<void> create_snapshot(SnapshotCreate body);
  // Whether that is under way, and this is asked from within the loop.
  bool saves() const { return saves_; }
  // Has the loop run `task` when it is through.
  void after_saving(EventLoop::Task task) { after_saving_.push_back(std::move(task)); }
  // Before the start, with nothing configured that the snapshot has. An error leaves a microVM that
  // was not started.
  Result<void> load_snapshot(SnapshotLoad body);
  // Mote's own. After the start, running or paused, which it is afterwards again.
  Result<ForkAnswer> fork(Fork);

  // What is not built
  // ----------------------------------------------------------------------------------------------

  Result<void> delete_drive(std::string id);
  Result<void> delete_interface(std::string id);
  Result<void> delete_pmem(std::string id);

 private:
  // An error unless the machine is not started, or is; `what` is the request, for the message.
  Result<void> before_start(std::string_view what) const;
  Result<void> after_start(std::string_view what) const;
  // Replaces the configuration by one that holds together so far; an error leaves it.
  Result<void> adopt(machine::VmConfig candidate);
  // From here on `machine` is the microVM, in this state.
  void adopt_machine(std::unique_ptr<LiveMachine> machine, InstanceState state);
  Result<void> press_ctrl_alt_del();
  // Serves others between two pieces of a snapshot that is made; an error: the loop is at its end.
  Result<void> serve_others();
  // Of a paused machine, as machine::seal_layers().
  Result<machine::VmConfig> seal_layers();
  Result<void> refuse_removal(std::string_view what, std::string_view id) const;

  template <typename D>
  Result<D*> running(std::string_view what, std::string_view id = {});

  EventLoop& loop_;
  metadata::Store& metadata_;
  const ControllerOptions options_;
  machine::VmConfig config_;  // after the start, with what has changed since
  bool configured_ = false;   // something that a snapshot has as well was put
  SerialConfig serial_;
  machine::Claims claims_;
  Metrics metrics_;  // outlive the machine, which counts in them
  bool saves_ = false;
  bool goes_on_ = false;
  std::vector<EventLoop::Task> after_saving_;
  std::unique_ptr<machine::Shell> shell_;
  std::unique_ptr<LiveMachine> machine_;
  // Of the machine. Any thread may read it.
  std::atomic<InstanceState> state_ = InstanceState::NotStarted;
};

}  // namespace mote::api::firecracker

#include "api/firecracker/live_machine.h"

#include <fcntl.h>

#include "base/unique_fd.h"

namespace mote::api::firecracker {

Result<std::unique_ptr<RealMachine>> RealMachine::prepare(const SerialConfig& serial,
                                                          machine::MachineOptions& options) {
  machine::SerialLine& line = options.board.com1;
  UniqueFd output;
  if (serial.serial_out_path) {
    // Read-write, so that a FIFO opens before somebody reads it; non-blocking, so that a reader who
    // stops costs output and not the guest's time.
    auto opened =
        open_file(*serial.serial_out_path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, 0644);
    if (!opened) {
      return std::unexpected(std::move(opened.error()).within("serial: serial_out_path"));
    }
    output = std::move(*opened);
    line.input = -1;
    line.output = output.get();
  }
  if (serial.rate_limiter) {
    const virtio::TokenBucketConfig& limit = *serial.rate_limiter;
    line.limit = machine::SerialLimit{.size = limit.size,
                                      .refill_time = limit.refill_time,
                                      .one_time_burst = limit.one_time_burst.value_or(0)};
  }
  return std::unique_ptr<RealMachine>(new RealMachine(std::move(output)));
}

Result<std::unique_ptr<RealMachine>> RealMachine::boot(EventLoop& loop,
                                                       const machine::VmConfig& config,
                                                       const SerialConfig& serial,
                                                       machine::MachineOptions options) {
  MOTE_TRY(auto live, prepare(serial, options));
  MOTE_TRY(live->machine_, machine::Machine::boot(loop, config, std::move(options)));
  return live;
}

Result<std::unique_ptr<RealMachine>> RealMachine::restore(EventLoop& loop,
                                                          const machine::VmConfig& config,
                                                          const SerialConfig& serial,
                                                          machine::MachineOptions options,
                                                          machine::RestoreSource source,
                                                          const machine::MachineState& state) {
  MOTE_TRY(auto live, prepare(serial, options));
  MOTE_TRY(live->machine_,
           machine::Machine::restore(loop, config, std::move(options), std::move(source), state));
  return live;
}

Result<void> RealMachine::create_snapshot(const machine::VmConfig& config,
                                          machine::SnapshotKind kind,
                                          const machine::SnapshotPaths& paths,
                                          const std::string& maker,
                                          const snapshot::Between& between) {
  machine::kMachineThread.assert_held();
  return machine::create_snapshot(*machine_, config, kind, paths, maker, between);
}

void RealMachine::prepare_freeze() {
  machine::kMachineThread.assert_held();
  machine_->prepare_freeze();
}

Result<machine::Frozen> RealMachine::freeze(const machine::VmConfig& config) {
  machine::kMachineThread.assert_held();
  return machine::freeze(*machine_, config);
}

Result<void> RealMachine::get_ready() {
  machine::kMachineThread.assert_held();
  return machine_->get_ready();
}

void RealMachine::let_go() {
  machine::kMachineThread.assert_held();
  machine_->let_go();
}

void RealMachine::pause() {
  machine::kMachineThread.assert_held();
  machine_->pause();
}

Result<void> RealMachine::press_ctrl_alt_del() {
  machine::kMachineThread.assert_held();
  return machine_->press_ctrl_alt_del();
}

virtio::Device* RealMachine::find_device(std::size_t kind, std::string_view id) {
  machine::kMachineThread.assert_held();
  return machine_->find_device(kind, id);
}

}  // namespace mote::api::firecracker

// LiveMachine is what the API asks of a machine that runs. Machines are made by whoever wires the
// API, so that a unit test hands it one without KVM.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "api/firecracker/serial.h"
#include "machine/config.h"
#include "machine/fork.h"
#include "machine/machine.h"
#include "machine/snapshot.h"
#include "virtio/kinds.h"

namespace mote::api::firecracker {

class LiveMachine {
 public:
  virtual ~LiveMachine() = default;

  // Each as machine::Machine has it.
  virtual Result<void> get_ready() = 0;
  virtual void let_go() = 0;
  virtual void pause() = 0;
  virtual Result<void> press_ctrl_alt_del() = 0;
  virtual void count(machine::MachineCounts& into) const = 0;
  // As machine::create_snapshot().
  virtual Result<void> create_snapshot(const machine::VmConfig& config, machine::SnapshotKind kind,
                                       const machine::SnapshotPaths& paths,
                                       const std::string& maker,
                                       const snapshot::Between& between) = 0;
  // As Machine's, and as machine::freeze().
  virtual void prepare_freeze() = 0;
  virtual Result<machine::Frozen> freeze(const machine::VmConfig& config) = 0;
  template <typename D>
  D* find(std::string_view id = {}) {
    return static_cast<D*>(find_device(virtio::kKindIndex<D>, id));
  }

 private:
  virtual virtio::Device* find_device(std::size_t kind, std::string_view id) = 0;
};

// Assembles the machine of a checked configuration, its vCPUs parked, its first serial port as
// `serial` says. An error leaves nothing behind.
using MachineMaker = std::function<Result<std::unique_ptr<LiveMachine>>(
    const machine::VmConfig& config, const SerialConfig& serial)>;

// Makes the machine that was saved, paused, likewise.
using MachineRestorer = std::function<Result<std::unique_ptr<LiveMachine>>(
    const machine::VmConfig& config, const SerialConfig& serial, machine::RestoreSource source,
    const machine::MachineState& state)>;

// A machine::Machine behind that interface.
class RealMachine final : public LiveMachine {
 public:
  // `options` are the program's; `serial` replaces the output of the first port where it says so.
  static Result<std::unique_ptr<RealMachine>> boot(EventLoop& loop, const machine::VmConfig& config,
                                                   const SerialConfig& serial,
                                                   machine::MachineOptions options);
  static Result<std::unique_ptr<RealMachine>> restore(EventLoop& loop,
                                                      const machine::VmConfig& config,
                                                      const SerialConfig& serial,
                                                      machine::MachineOptions options,
                                                      machine::RestoreSource source,
                                                      const machine::MachineState& state);

  machine::Machine& machine() { return *machine_; }

  Result<void> get_ready() override;
  void let_go() override;
  void pause() override;
  Result<void> press_ctrl_alt_del() override;
  void count(machine::MachineCounts& into) const override { machine_->count(into); }
  Result<void> create_snapshot(const machine::VmConfig& config, machine::SnapshotKind kind,
                               const machine::SnapshotPaths& paths, const std::string& maker,
                               const snapshot::Between& between) override;
  void prepare_freeze() override;
  Result<machine::Frozen> freeze(const machine::VmConfig& config) override;

 private:
  // Opens what `serial` names, and has `options` use it.
  static Result<std::unique_ptr<RealMachine>> prepare(const SerialConfig& serial,
                                                      machine::MachineOptions& options);
  explicit RealMachine(UniqueFd serial_output) : serial_output_(std::move(serial_output)) {}
  virtio::Device* find_device(std::size_t kind, std::string_view id) override;

  UniqueFd serial_output_;  // outlives the machine
  std::unique_ptr<machine::Machine> machine_;
};

}  // namespace mote::api::firecracker

// A Controller with a machine that needs no KVM: its devices are real ones, over memory of the
// test's, without a driver.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/firecracker/controller.h"
#include "api/firecracker/routes.h"
#include "machine/device_kinds.h"
#include "machine/device_list.h"
#include "temp_dir.h"
#include "virtio/fake_link.h"
#include "virtio/fake_slots.h"

namespace mote::api::firecracker::test {

class FakeMachine final : public LiveMachine {
 public:
  static Result<std::unique_ptr<LiveMachine>> make(EventLoop& loop,
                                                   const machine::VmConfig& config) {
    auto memory = memory::GuestMemory::create(
        {.ranges = {{.start = 0, .size = config.machine.mem_size_mib << 20}}});
    if (!memory) return std::unexpected(std::move(memory.error()));
    auto machine = std::make_unique<FakeMachine>(std::move(*memory));
    const virtio::DeviceServices services{
        .loop = loop, .memory = machine->memory_, .space = machine->space_};
    for (const machine::ListedDevice& listed : machine::list_devices(config)) {
      MOTE_TRY(auto device, make_device(listed, services));
      machine->devices_.emplace_back(listed.kind, listed.id, std::move(device));
    }
    return machine;
  }

  explicit FakeMachine(memory::GuestMemory memory)
      : memory_(std::move(memory)),
        space_(
            memory_,
            [] {
              return std::vector<memory::Range>{
                  {.start = std::uint64_t{1} << 39, .size = std::uint64_t{1} << 40}};
            },
            slots_) {}
  ~FakeMachine() override {
    devices_.clear();
    space_.close();
  }

  // What happens while a snapshot is made.
  std::function<void()> between_pieces;

  Result<void> get_ready() override {
    if (fail_run) return fail(ErrorKind::kResource, "no threads left");
    ++runs;
    return {};
  }
  void let_go() override {
    if (when_let_go) when_let_go();
    ++let_go_times;
  }
  void pause() override { ++pauses; }
  Result<void> press_ctrl_alt_del() override {
    ++presses;
    return {};
  }

  void count(machine::MachineCounts& into) const override { into.vcpu.exit_io_in += 7; }
  Result<void> create_snapshot(const machine::VmConfig&, machine::SnapshotKind kind,
                               const machine::SnapshotPaths& paths, const std::string& maker,
                               const snapshot::Between& between) override {
    if (between_pieces) between_pieces();
    MOTE_CHECK(between());
    if (paths.state.starts_with("/no")) return fail(ErrorKind::kIo, "no such luck");
    const char* const what = kind == machine::SnapshotKind::kFull ? "all of " : "changes of ";
    saved.push_back(what + paths.state + " " + paths.memory + " " + maker);
    return {};
  }

  // A machine of 1 MiB whose state says nothing of its processors.
  void prepare_freeze() override { ++preparations; }
  Result<machine::Frozen> freeze(const machine::VmConfig& config) override {
    if (!config.machine.forkable) return fail(ErrorKind::kState, "not forkable");
    machine::Frozen frozen;
    frozen.state.config = config;
    frozen.state.memory = {{.start = 0, .size = config.machine.mem_size_mib << 20}};
    frozen.state.forked.emplace();
    auto memory = memory::GuestMemory::create(
        {.ranges = {{.start = 0, .size = config.machine.mem_size_mib << 20}},
         .backing = memory::Backing::kMemfd,
         .freezable = true});
    if (!memory) return std::unexpected(std::move(memory.error()));
    MOTE_TRY(frozen.copied_bytes, memory->freeze());
    frozen.layers = memory->layers();
    return frozen;
  }

  std::function<void()> when_let_go;

  int runs = 0;
  int let_go_times = 0;
  int pauses = 0;
  int preparations = 0;
  int presses = 0;
  bool fail_run = false;
  std::vector<std::string> saved;

 private:
  // Without a tap of the host.
  static Result<std::unique_ptr<virtio::Device>> make_device(
      const machine::ListedDevice& listed, const virtio::DeviceServices& services) {
    if (listed.kind != virtio::kKindIndex<virtio::Net>) {
      return machine::make_device(listed, services, nullptr);
    }
    return virtio::Net::create(*static_cast<const virtio::NetConfig*>(listed.config), services,
                               std::make_unique<virtio::test::FakeLink>());
  }
  virtio::Device* find_device(std::size_t kind, std::string_view id) override {
    for (const auto& [device_kind, device_id, device] : devices_) {
      if (device_kind == kind && device_id == id) return device.get();
    }
    return nullptr;
  }

  memory::GuestMemory memory_;
  virtio::test::FakeSlots slots_;
  memory::AddressSpace space_;
  std::vector<std::tuple<std::size_t, std::string, std::unique_ptr<virtio::Device>>> devices_;
};

class ApiTest : public testing::Test {
 protected:
  ApiTest() { make_controller(); }
  // One that was asked nothing yet.
  void make_controller() {
    machine::kMachineThread.assert_held();
    controller = std::make_unique<Controller>(
        *loop, store,
        ControllerOptions{
            .id = "test-vm",
            .version = "9.8.7",
            .make_machine = [this](const machine::VmConfig& config, const SerialConfig& serial)
                -> Result<std::unique_ptr<LiveMachine>> {
              ++made;
              booted = config;
              booted_serial = serial;
              if (fail_boot) return fail(ErrorKind::kIo, "no such luck");
              MOTE_TRY(auto machine, FakeMachine::make(*loop, config));
              static_cast<FakeMachine&>(*machine).fail_run = fail_run;
              return machine;
            },
            .restore_machine = [this](const machine::VmConfig& config, const SerialConfig& serial,
                                      machine::RestoreSource source, const machine::MachineState&)
                -> Result<std::unique_ptr<LiveMachine>> {
              ++restored;
              booted = config;
              booted_serial = serial;
              restored_clock = source.clock;
              if (fail_boot) return fail(ErrorKind::kIo, "no such luck");
              MOTE_TRY(auto machine, FakeMachine::make(*loop, config));
              static_cast<FakeMachine&>(*machine).fail_run = fail_run;
              return machine;
            }});
  }

  http::Response ask(std::string method, std::string target, std::string body = {}) {
    http::Request request{
        .method = std::move(method), .target = std::move(target), .body = std::move(body)};
    return ask(std::move(request));
  }
  http::Response ask(http::Request&& request) {
    auto understood = understand(request);
    if (!understood) return respond(std::unexpected(std::move(understood.error())), false);
    auto outcome = understood->call(*controller);
    controller->go_on();
    return respond(std::move(outcome), understood->deprecated);
  }
  // The status of a request.
  int put(std::string target, std::string body) {
    return ask("PUT", std::move(target), std::move(body)).status;
  }
  int patch(std::string target, std::string body) {
    return ask("PATCH", std::move(target), std::move(body)).status;
  }
  std::string get(std::string target) { return ask("GET", std::move(target)).body; }
  // What GET /vm/config says.
  std::string config() { return get("/vm/config"); }

  std::string drive(std::string_view id, std::string_view rest = {}) {
    return fmt::format(R"({{"drive_id":"{}","path_on_host":"{}","is_root_device":false{}}})", id,
                       disk, rest);
  }
  void start() {
    ASSERT_EQ(put("/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)), 204);
    ASSERT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 204);
  }
  FakeMachine& fake() { return static_cast<FakeMachine&>(*controller->machine()); }

  mote::test::TempDir dir;
  const std::string kernel = dir.write("kernel", "no kernel");
  const std::string disk = dir.write("disk", std::string(4096, 'd'));
  const std::string other_disk = dir.write("other", std::string(8192, 'o'));
  const std::unique_ptr<EventLoop> loop = *EventLoop::create();
  metadata::Store store{100};
  int made = 0;
  int restored = 0;
  arch::ClockStart restored_clock{};
  bool fail_boot = false;
  bool fail_run = false;
  machine::VmConfig booted;
  SerialConfig booted_serial;
  std::unique_ptr<Controller> controller;
};

}  // namespace mote::api::firecracker::test

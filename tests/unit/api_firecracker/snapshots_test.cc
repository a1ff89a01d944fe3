// Snapshots through the API: what must come before and after, what may be another at load, and what
// a refusal leaves. Machines are the fixture's; state and memory files are real ones.
#include "api_fixture.h"
#include "machine/snapshot.h"
#include "snapshot/describe.h"

namespace mote::api::firecracker::test {
namespace {

class Snapshots : public ApiTest {
 protected:
  Snapshots() NO_THREAD_SAFETY_ANALYSIS {
    state.config.boot_source.kernel_image_path = "/gone";
    state.config.machine.mem_size_mib = 2;
    state.config.machine.track_dirty_pages = true;
    state.config.network_interfaces = {{.iface_id = "n", .host_dev_name = "tap0"}};
    state.config.vsock = virtio::VsockConfig{.guest_cid = 3, .uds_path = dir / "v"};
    state.memory = {{.start = 0, .size = 2 << 20}};
    write_state();
    dir.write("mem", "");
    std::filesystem::resize_file(dir / "mem", 2 << 20);
  }
  void write_state() {
    const auto bytes = snapshot::make_state_file({.maker = "test"}, snapshot::write(state));
    dir.write("state", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  http::Response load(const std::string& more = {}) {
    return ask("PUT", "/snapshot/load",
               fmt::format(R"({{"snapshot_path":"{}","mem_backend":{{"backend_type":"File",)"
                           R"("backend_path":"{}"}}{}}})",
                           dir / "state", dir / "mem", more));
  }
  int create(const std::string& state_path, const std::string& more = {}) {
    return put("/snapshot/create",
               fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"/m"{}}})", state_path, more));
  }

  machine::SnapshotState state;
};

TEST_F(Snapshots, AreMadeOfAPausedMachine) {
  EXPECT_EQ(create("/s"), 400);
  start();
  EXPECT_EQ(create("/s"), 400);
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  EXPECT_EQ(create("/s"), 204);
  EXPECT_EQ(create("/s", R"(,"snapshot_type":"Diff")"), 204);
  EXPECT_EQ(create("/no"), 400);
  EXPECT_EQ(create("/s", R"(,"snapshot_type":null)"), 400);
  EXPECT_EQ(create("/s", R"(,"snapshot_type":"full")"), 400);
  EXPECT_EQ(
      static_cast<FakeMachine*>(controller->machine())->saved,
      (std::vector<std::string>{"all of /s /m mote-vmm 9.8.7", "changes of /s /m mote-vmm 9.8.7"}));
  EXPECT_EQ(load().status, 400) << "there is a machine";
  EXPECT_EQ(restored, 0);
}

TEST_F(Snapshots, AreLoadedInPlaceOfAStart) {
  EXPECT_EQ(load().status, 204);
  EXPECT_EQ(restored, 1);
  EXPECT_EQ(booted.boot_source.kernel_image_path, "/gone") << "nobody looks at it";
  EXPECT_FALSE(booted.machine.track_dirty_pages) << "the load says, not the snapshot";
  EXPECT_EQ(restored_clock, arch::ClockStart::kWhereItStopped);
  EXPECT_NE(get("/").find(R"("state":"Paused")"), std::string::npos);
  EXPECT_NE(config().find(R"("host_dev_name":"tap0")"), std::string::npos);
  EXPECT_EQ(load().status, 400) << "twice";
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 400);
  EXPECT_EQ(put("/boot-source", R"({"kernel_image_path":"x"})"), 400);
  EXPECT_EQ(patch("/vm", R"({"state":"Resumed"})"), 204);
  EXPECT_EQ(static_cast<FakeMachine*>(controller->machine())->runs, 1);
}

TEST_F(Snapshots, GoOnAtOnceWhereThatIsAskedFor) {
  EXPECT_EQ(load(R"(,"resume_vm":true,"clock_realtime":true)").status, 204);
  EXPECT_NE(get("/").find(R"("state":"Running")"), std::string::npos);
  EXPECT_EQ(restored_clock, arch::ClockStart::kNow);
}

TEST_F(Snapshots, HaveTheirResourcesRenamed) {
  EXPECT_EQ(load(R"(,"network_overrides":[{"iface_id":"z","host_dev_name":"tap9"}])").status, 400);
  EXPECT_EQ(load(R"(,"network_overrides":[{"iface_id":"n"}])").status, 400);
  EXPECT_EQ(
      load(R"(,"network_overrides":[{"iface_id":"n","host_dev_name":"longer-than-15-by"}])").status,
      400);
  EXPECT_EQ(load(R"(,"network_overrides":null)").status, 400);
  EXPECT_EQ(load(R"(,"vsock_override":{})").status, 400);
  EXPECT_EQ(restored, 0);
  EXPECT_EQ(load(fmt::format(R"(,"network_overrides":[{{"iface_id":"n","host_dev_name":"tap8"}},)"
                             R"({{"iface_id":"n","host_dev_name":"tap9"}}],)"
                             R"("vsock_override":{{"uds_path":"{}"}},"huge_pages":"Transparent")",
                             dir / "w"))
                .status,
            204);
  EXPECT_EQ(booted.network_interfaces.front().host_dev_name, "tap9");
  EXPECT_EQ(booted.vsock->uds_path, dir / "w");
  EXPECT_EQ(booted.machine.huge_pages, machine::HugePages::Transparent);
  EXPECT_NE(config().find("tap9"), std::string::npos);
}

TEST_F(Snapshots, HaveMoteOverridesToo) {
  virtio::BlockConfig drive;
  drive.drive_id = "d";
  drive.path_on_host = dir / "gone";
  state.config.drives = {drive};
  state.config.pmem = {{.id = "p", .path_on_host = dir / "gone"}};
  state.config.network_interfaces.front().guest_mac = "06:00:00:00:00:01";
  state.config.console = virtio::ConsoleConfig{
      .ports = {{}, {.mode = virtio::PortMode::File, .path = dir / "gone/file"}}};
  write_state();
  dir.write("disk", std::string(4096, 'd'));
  dir.write("pmem", std::string(4096, 'p'));
  const std::string files =
      fmt::format(R"(,"drive_overrides":[{{"drive_id":"d","path_on_host":"{}"}}],)"
                  R"("pmem_overrides":[{{"id":"p","path_on_host":"{}"}}],)"
                  R"("console_overrides":[{{"port":1,"path":"{}"}}])",
                  dir / "disk", dir / "pmem", dir / "port");
  const auto refused = [&](const std::string& more, const std::string& with) {
    const auto response = load(more);
    EXPECT_EQ(response.status, 400) << more;
    EXPECT_NE(response.body.find(with), std::string::npos) << response.body;
  };
  EXPECT_EQ(load().status, 400) << "the files are gone";
  refused(R"(,"drive_overrides":[{"drive_id":"x","path_on_host":"y"}])", R"(it has \"d\")");
  refused(R"(,"drive_overrides":[{"drive_id":"d","path_on_host":""}])", "path_on_host");
  refused(R"(,"drive_overrides":[{"drive_id":"d"}])", "path_on_host");
  refused(R"(,"pmem_overrides":[{"id":"x","path_on_host":"y"}])", R"(it has \"p\")");
  refused(R"(,"console_overrides":[{"port":2,"path":"y"}])", "2 ports");
  refused(R"(,"console_overrides":[{"port":0,"path":"y"}])", "no File");
  refused(R"(,"network_overrides":[{"iface_id":"n","host_dev_name":"t","guest_mac":"y"}])",
          "guest_mac");
  refused(R"(,"serial":{"serial_out_path":"\u0000"})", "serial");
  refused(R"(,"logger":{"level":"loud"})", "logger");
  EXPECT_EQ(load(fmt::format(R"(,"mmds":"{}")", std::string(60000, 'x'))).status, 413);
  EXPECT_EQ(get("/mmds"), "{}") << "a load that is refused puts nothing";
  const auto response =
      load(files +
           fmt::format(R"(,"network_overrides":[{{"iface_id":"n","host_dev_name":"t",)"
                       R"("guest_mac":"06:00:00:00:00:AB"}}],"vsock_override":)"
                       R"({{"uds_path":"{}","guest_cid":77}},"serial":{{"serial_out_path":"{}"}},)"
                       R"("mmds":{{"who":"clone"}})",
                       dir / "w", dir / "out"));
  ASSERT_EQ(response.status, 204) << response.body;
  EXPECT_EQ(booted.drives.front().path_on_host, dir / "disk");
  EXPECT_EQ(booted.pmem.front().path_on_host, dir / "pmem");
  EXPECT_EQ(booted.console->ports[1].path, dir / "port");
  EXPECT_EQ(booted.network_interfaces.front().guest_mac, "06:00:00:00:00:ab");
  EXPECT_EQ(booted.vsock->guest_cid, 77U);
  EXPECT_EQ(booted_serial.serial_out_path, dir / "out");
  EXPECT_EQ(get("/mmds"), R"({"who":"clone"})");
  EXPECT_NE(config().find("06:00:00:00:00:ab"), std::string::npos);
}

TEST_F(Snapshots, OfAGuestThatMadeUpItsAddressHaveNoneToRename) {
  EXPECT_NE(load(R"(,"network_overrides":[{"iface_id":"n","host_dev_name":"t",)"
                 R"("guest_mac":"06:00:00:00:00:ab"}])")
                .body.find("made up an address"),
            std::string::npos);
}

// A number that was a tap there may be anything here.
TEST_F(Snapshots, DescriptorsOfAnotherProcessAreNotTaken) {
  state.config.network_interfaces.front().host_dev_name.reset();
  state.config.network_interfaces.front().tap_fds = {5};
  write_state();
  EXPECT_NE(load().body.find("descriptors"), std::string::npos);
  EXPECT_EQ(load(R"(,"network_overrides":[{"iface_id":"n","host_dev_name":"tap9"}])").status, 204);
  EXPECT_TRUE(booted.network_interfaces.front().tap_fds.empty());
}

TEST_F(Snapshots, WithoutWhatIsOverriddenSaySo) {
  state.config.vsock.reset();
  write_state();
  EXPECT_NE(load(R"(,"vsock_override":{"uds_path":"x"})").body.find("no vsock"), std::string::npos);
}

TEST_F(Snapshots, TrackDirtyPagesByEitherName) {
  EXPECT_TRUE(load(R"(,"enable_diff_snapshots":true)").deprecated);
  EXPECT_TRUE(booted.machine.track_dirty_pages);
}

TEST_F(Snapshots, TrackDirtyPages) {
  EXPECT_FALSE(load(R"(,"track_dirty_pages":true,"enable_diff_snapshots":false)").deprecated);
  EXPECT_TRUE(booted.machine.track_dirty_pages);
  EXPECT_NE(get("/machine-config").find(R"("track_dirty_pages":true)"), std::string::npos);
}

TEST_F(Snapshots, NameTheirMemoryInOneWay) {
  const auto with = [&](const std::string& memory) {
    return ask("PUT", "/snapshot/load",
               fmt::format(R"({{"snapshot_path":"{}"{}}})", dir / "state", memory));
  };
  EXPECT_EQ(with("").status, 400);
  EXPECT_EQ(load(fmt::format(R"(,"mem_file_path":"{}")", dir / "mem")).status, 400);
  const auto old = with(fmt::format(R"(,"mem_file_path":"{}")", dir / "mem"));
  EXPECT_EQ(old.status, 204);
  EXPECT_TRUE(old.deprecated);
}

TEST_F(Snapshots, ComeBeforeAnyConfigurationButSome) {
  EXPECT_EQ(put("/serial", fmt::format(R"({{"serial_out_path":"{}"}})", dir / "out")), 204);
  EXPECT_EQ(put("/metrics", fmt::format(R"({{"metrics_path":"{}"}})", dir / "metrics")), 204);
  EXPECT_EQ(put("/mmds", R"({"a":1})"), 204);
  EXPECT_EQ(put("/cpu-config", "{}"), 204);
  EXPECT_EQ(put("/drives/d", "{}"), 400);
  EXPECT_EQ(load().status, 204);
  EXPECT_EQ(booted_serial.serial_out_path, dir / "out");
}

TEST_F(Snapshots, AreRefusedAfterConfiguration) {
  EXPECT_EQ(put("/cpu-config", R"({"kvm_capabilities":["!171"]})"), 204);
  EXPECT_EQ(load().status, 400);
}

TEST_F(Snapshots, AreRefusedAfterADevice) {
  EXPECT_EQ(put("/entropy", "{}"), 204);
  const auto response = load();
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("nothing was configured"), std::string::npos) << response.body;
  EXPECT_EQ(restored, 0);
}

TEST_F(Snapshots, ThatCannotBeLoadedLeaveAMicroVmThatWasNotStarted) {
  fail_boot = true;
  EXPECT_EQ(load().status, 400);
  fail_boot = false;
  fail_run = true;
  EXPECT_EQ(load(R"(,"resume_vm":true)").status, 400);
  fail_run = false;
  std::filesystem::resize_file(dir / "mem", (2 << 20) - 1);
  EXPECT_EQ(load().status, 400);
  std::filesystem::resize_file(dir / "mem", 3 << 20);
  EXPECT_NE(get("/").find("Not started"), std::string::npos);
  EXPECT_EQ(load().status, 204) << "a file may be longer";
}

// A checksum keeps accidents out, and nobody who means it.
TEST_F(Snapshots, AreCheckedAsAConfigurationIs) {
  const auto refused = [&](auto spoil) {
    const machine::SnapshotState sound = state;
    spoil(state);
    write_state();
    state = sound;
    return load().status == 400;
  };
  EXPECT_TRUE(refused([](auto& s) { s.config.machine.vcpu_count = 0; }));
  EXPECT_TRUE(refused([](auto& s) { s.config.machine.mem_size_mib = 1; }));
  EXPECT_TRUE(refused([](auto& s) { s.config.network_interfaces.front().mtu = 1; }));
  EXPECT_TRUE(refused([](auto& s) { s.memory.clear(); }));
  EXPECT_TRUE(refused([](auto& s) { s.memory.front().start = 4096; }));
  EXPECT_TRUE(refused([](auto& s) { s.memory.front().size += 4096; }));
  EXPECT_TRUE(refused([](auto& s) {
    s.config.cpu_config.emplace();
    s.cpu_config = machine::CpuConfig{.kvm_capabilities = {"x"}};
  }));
  EXPECT_EQ(restored, 0);
  EXPECT_FALSE(refused([](auto&) {}));
}

TEST_F(Snapshots, OfHugePagesNeedAHandler) {
  EXPECT_EQ(load(R"(,"huge_pages":"2M")").status, 400);
  state.config.machine.huge_pages = machine::HugePages::TwoMib;
  write_state();
  EXPECT_EQ(load().status, 400);
  EXPECT_EQ(load(R"(,"huge_pages":"None")").status, 204);
}

}  // namespace
}  // namespace mote::api::firecracker::test

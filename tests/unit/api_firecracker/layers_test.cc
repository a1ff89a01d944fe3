// Drives of layers through the API: what a snapshot seals, and what a load makes on top of it.
#include <filesystem>

#include "api_fixture.h"
#include "machine/snapshot.h"
#include "snapshot/describe.h"
#include "storage/overlay/disk.h"

namespace mote::api::firecracker::test {
namespace {

namespace overlay = storage::overlay;

class Layers : public ApiTest {
 protected:
  Layers() NO_THREAD_SAFETY_ANALYSIS {
    dir.write("base", std::string(1 << 20, 'b'));
    EXPECT_TRUE(overlay::create_layer(dir / "top", {dir / "base"}));
  }
  std::string drive_of_layers(std::string_view rest = {}) {
    return fmt::format(
        R"({{"drive_id":"d","path_on_host":"{}","is_root_device":false,"format":"overlay",)"
        R"("layers":["{}"]{}}})",
        dir / "top", dir / "base", rest);
  }
  // Writes as the guest would.
  void dirty(const std::string& path, const std::vector<std::string>& below) {
    auto disk = overlay::OverlayDisk::open(path, {.below = below});
    ASSERT_TRUE(disk) << disk.error().text();
    std::string bytes(512, 'g');
    (*disk)->submit(
        {.op = storage::Op::kWrite, .offset = 0, .buffers = {{bytes.data(), 512}}},
        [](const storage::DiskRequest&, const Result<void>& result) { EXPECT_TRUE(result); });
  }
  int create() { return put("/snapshot/create", R"({"snapshot_path":"/s","mem_file_path":"/m"})"); }
  std::vector<std::string> sealed() {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(dir / "")) {
      const std::string name = entry.path().filename();
      if (name.starts_with("top.")) found.push_back(entry.path());
    }
    return found;
  }
  void write_state(const machine::VmConfig& config) {
    machine::SnapshotState state;
    state.config = config;
    state.config.boot_source.kernel_image_path = "/gone";
    state.config.machine.mem_size_mib = 2;
    state.memory = {{.start = 0, .size = 2 << 20}};
    const auto bytes = snapshot::make_state_file({.maker = "test"}, snapshot::write(state));
    dir.write("state", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    dir.write("mem", "");
    std::filesystem::resize_file(dir / "mem", 2 << 20);
  }
  http::Response load(const std::string& more = {}) {
    return ask("PUT", "/snapshot/load",
               fmt::format(R"({{"snapshot_path":"{}","mem_backend":{{"backend_type":"File",)"
                           R"("backend_path":"{}"}}{}}})",
                           dir / "state", dir / "mem", more));
  }
  std::string override_at(const std::string& path, const std::string& more = {}) {
    return fmt::format(R"(,"drive_overrides":[{{"drive_id":"d","path_on_host":"{}"{}}}])", path,
                       more);
  }
  machine::VmConfig saved_config() {
    machine::VmConfig config;
    virtio::BlockConfig drive;
    drive.drive_id = "d";
    drive.format = virtio::DiskFormat::Overlay;
    drive.path_on_host = dir / "base";  // nothing was sealed
    config.drives = {drive};
    return config;
  }
};

TEST_F(Layers, AreCheckedWhenTheyAreConfigured) {
  EXPECT_EQ(put("/drives/d", drive_of_layers(R"(,"direct":true)")), 400);
  EXPECT_EQ(put("/drives/d", drive_of_layers(R"(,"backing_files":true)")), 400);
  EXPECT_EQ(put("/drives/d", drive("d", R"(,"layers":["x"])")), 400);
  EXPECT_EQ(put("/drives/d", drive("d", R"(,"format":"overlay")")), 400) << "it is no layer";
  dir.write("base", std::string(1 << 20, 'c'));
  EXPECT_EQ(put("/drives/d", drive_of_layers()), 400) << "another base";
  dir.write("base", std::string(1 << 20, 'b'));
  EXPECT_EQ(put("/drives/d", drive_of_layers()), 204);
  EXPECT_NE(config().find(R"("format":"overlay")"), std::string::npos) << config();
}

TEST_F(Layers, AreSealedByASnapshot) {
  dirty(dir / "top", {dir / "base"});
  ASSERT_EQ(put("/drives/d", drive_of_layers()), 204);
  start();
  EXPECT_EQ(create(), 400) << "it runs";
  EXPECT_TRUE(sealed().empty());
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  ASSERT_EQ(create(), 204);
  ASSERT_EQ(sealed().size(), 1U);
  EXPECT_NE(config().find(sealed().front()), std::string::npos) << config();
  // Nothing was written since: nothing more is sealed.
  ASSERT_EQ(create(), 204);
  EXPECT_EQ(sealed().size(), 1U);
  EXPECT_EQ(fake().saved.size(), 2U);
  // What is at the path is the machine's new one, in use.
  EXPECT_FALSE(
      overlay::OverlayDisk::open(dir / "top", {.below = {dir / "base", sealed().front()}}));
}

TEST_F(Layers, OfACloneAreMadeAtTheLoad) {
  write_state(saved_config());
  const auto refused = [&](const std::string& more, const std::string& with) {
    const auto response = load(more);
    EXPECT_EQ(response.status, 400);
    EXPECT_NE(response.body.find(with), std::string::npos) << response.body;
  };
  refused("", "name a path for it");
  refused(override_at(dir / "clone", R"(,"layers":[])"), "lies on 1 files");
  refused(override_at(dir / "gone/clone"), "clone");
  refused(override_at(dir / "base"), "base");
  dirty(dir / "top", {dir / "base"});
  refused(override_at(dir / "top"), "another microVM wrote");
  fail_boot = true;
  EXPECT_EQ(load(override_at(dir / "clone")).status, 400);
  EXPECT_FALSE(std::filesystem::exists(dir / "clone")) << "nothing is left of it";
  fail_boot = false;
  ASSERT_EQ(load(override_at(dir / "clone")).status, 204);
  EXPECT_TRUE(std::filesystem::exists(dir / "clone"));
  EXPECT_EQ(booted.drives.front().path_on_host, dir / "clone");
  EXPECT_EQ(booted.drives.front().layers, std::vector<std::string>{dir / "base"});
}

TEST_F(Layers, OfACloneMayBeMadeBeforeAndLieElsewhere) {
  write_state(saved_config());
  std::filesystem::rename(dir / "base", dir / "moved");
  ASSERT_TRUE(overlay::create_layer(dir / "clone", {dir / "moved"}));
  EXPECT_EQ(load(override_at(dir / "clone")).status, 400) << "the base is gone";
  ASSERT_EQ(
      load(override_at(dir / "clone", fmt::format(R"(,"layers":["{}"])", dir / "moved"))).status,
      204);
  EXPECT_EQ(booted.drives.front().layers, std::vector<std::string>{dir / "moved"});
}

}  // namespace
}  // namespace mote::api::firecracker::test

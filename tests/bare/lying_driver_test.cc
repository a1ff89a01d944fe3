// A device of each kind under a guest that tells one of its queues every lie that a driver can tell
// over virtio-mmio (guests/virtio_bad.S).

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "bare_test.h"

namespace mote::bare {
namespace {

constexpr std::uint64_t kNeedsReset = 0x4f;  // driver ok, and device needs reset
constexpr std::uint64_t kFine = 0x0f;

struct Device {
  const char* name;
  // Of the configuration; DIR is the test's directory.
  const char* sections;
  const char* drive = nullptr;
  int queue = 0;
  // A chain is answered at once; else it is room for what comes in, and nothing does.
  bool answers = true;
};

constexpr const char* kNet =
    R"(, "network-interfaces": [{"iface_id": "n", "host_dev_name": "mbare%d"}])";

constexpr Device kDevices[] = {
    {.name = "Block", .sections = "", .drive = "DIR/file"},
    {.name = "NetIn", .sections = kNet, .answers = false},
    {.name = "NetOut", .sections = kNet, .queue = 1},
    {.name = "Vsock",
     .sections = R"(, "vsock": {"guest_cid": 3, "uds_path": "DIR/v.sock"})",
     .queue = 1},
    {.name = "Entropy", .sections = R"(, "entropy": {})"},
    {.name = "Balloon", .sections = R"(, "balloon": {"amount_mib": 8, "deflate_on_oom": true})"},
    {.name = "Console", .sections = R"(, "console": {"ports": [{"mode": "Null"}]})", .queue = 1},
    {.name = "Pmem", .sections = R"(, "pmem": [{"id": "p", "path_on_host": "DIR/file"}])"},
    {.name = "Memory", .sections = R"(, "memory-hotplug": {"total_size_mib": 128})"},
};

class LyingDriver : public BareTest, public testing::WithParamInterface<Device> {
 protected:
  std::string in_directory(std::string text) const {
    constexpr std::string_view kMark = "DIR/";
    const auto at = text.find(kMark);
    if (at != std::string::npos) text.replace(at, kMark.size(), path_of(""));
    return text;
  }
};

// A ring that lies stops the device until it is reset; a request that is wrong but well-formed may
// be answered instead; and registers that make no sense change nothing. After each the guest resets
// the device, and at the end it is served.
TEST_P(LyingDriver, HarmsNobody) {
  const Device& device = GetParam();
  if (std::string_view(device.name).starts_with("Net") && ::geteuid() != 0)
    GTEST_SKIP() << "root makes taps";
  write_file("file", std::string(1 << 16, 'f'));
  Machine machine{.guest = "virtio_bad",
                  .boot_args = fmt::format("queue={}", device.queue),
                  .sections = in_directory(device.sections)};
  if (device.drive != nullptr) machine.drives = {drive("disk", in_directory(device.drive))};
  const std::string output = output_of(machine);
  const std::set<std::string> answerable{"header_short", "no_status", "header_only"};
  const std::set<std::string> borne{"kicks", "moved_while_live", "honest"};
  const std::set<std::string> never_started{"kick_before_start", "queue_unknown", "widths"};
  const std::uint64_t answered = device.answers ? 1 : 0;
  std::set<std::string> seen;
  for (const Fields& line : lines_with(output, "case=")) {
    const std::string name = line.at("case");
    const std::uint64_t status = number(line, "status");
    const std::uint64_t used = number(line, "used");
    seen.insert(name);
    if (borne.contains(name)) {
      EXPECT_EQ(status, kFine) << name;
      EXPECT_EQ(used, answered) << name;
    } else if (never_started.contains(name)) {
      EXPECT_EQ(status, 0) << name;
      EXPECT_EQ(used, 0) << name;
    } else if (name == "features") {
      EXPECT_EQ(status & 8, 0) << "features that were not offered were accepted";
    } else if (answerable.contains(name)) {
      EXPECT_TRUE(status == kNeedsReset || (status == kFine && used <= 1)) << name;
    } else {
      EXPECT_EQ(status, kNeedsReset) << name;
      EXPECT_EQ(used, 0) << name;
    }
  }
  EXPECT_EQ(seen.size(), 40U) << output;
  EXPECT_TRUE(seen.contains("honest")) << output;
  // Told of, and not of each.
  const std::string logged = log();
  const auto told = std::ranges::count_if(lines_of(logged), [](const std::string& line) {
    return line.contains("counted, not logged");
  });
  EXPECT_GE(told, 1) << logged;
  EXPECT_LE(told, 8) << logged;
}

INSTANTIATE_TEST_SUITE_P(Kinds, LyingDriver, testing::ValuesIn(kDevices),
                         [](const auto& device) { return std::string(device.param.name); });

}  // namespace
}  // namespace mote::bare

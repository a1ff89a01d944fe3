// What a launch touches of guest memory, and how many threads an idle machine keeps: promises of
// docs/performance.md that hold in any build.

#include <fstream>

#include "bare_test.h"

namespace mote::bare {
namespace {

constexpr unsigned kMemoryMib = 128;
constexpr unsigned kTouchedKib = 64;

// "Rss:      12 kB" is 12; other lines are 0.
unsigned kib_of(const std::string& line, std::string_view key) {
  return line.starts_with(key) ? static_cast<unsigned>(std::stoul(line.substr(key.size()))) : 0;
}

// Resident KiB of the mapping that is guest memory: the one of exactly its size, whatever its name.
// 0: there is none.
unsigned touched_guest_memory(pid_t pid) {
  std::ifstream maps(fmt::format("/proc/{}/smaps", pid));
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    if (const unsigned size = kib_of(line, "Size:"); size != 0) inside = size == kMemoryMib * 1024;
    if (const unsigned resident = kib_of(line, "Rss:"); inside && resident != 0) return resident;
  }
  return 0;
}

std::vector<std::string> threads_of(pid_t pid) {
  std::vector<std::string> names;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    // KVM's own, which newer kernels show in the process that made the VM.
    if (!name.starts_with("kvm-nx-lpage-re")) names.push_back(name);
  }
  return names;
}

using FootprintTest = BareTest;

TEST_F(FootprintTest, LaunchTouchesFewPagesOfGuestMemory) {
  VmmProcess process = start({.guest = "counter", .memory_mib = kMemoryMib});
  ASSERT_TRUE(process.wait_for_output("ready\n")) << process.errors();
  const unsigned touched = touched_guest_memory(process.pid());
  EXPECT_GT(touched, 0U) << "no mapping of the guest's size";
  EXPECT_LE(touched, kTouchedKib);
}

TEST_F(FootprintTest, AThreadAVcpuAndOneForTheMachine) {
  VmmProcess process = start({.guest = "counter", .vcpus = 3});
  ASSERT_TRUE(process.wait_for_output("ready\n")) << process.errors();
  const auto names = threads_of(process.pid());
  EXPECT_EQ(names.size(), 4U) << fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace
}  // namespace mote::bare

// State files of the past load still, and no struct of the state changes without its version.
//
// A struct that has to change: give it the next state_version() when what it means is another (not
// for a member that is new and whose default is right), write the layout anew with
// MOTE_WRITE_LAYOUT=1, and keep the files of before: a file written now is added beside them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "layout.h"
#include "machine/snapshot.h"

namespace mote::machine {
namespace {

const std::string kLayoutFile = MOTE_SNAPSHOT_DATA "/layout.txt";

snapshot::test::Layout layout_of_now() {
  snapshot::test::Layout layout;
  snapshot::test::text_of<SnapshotState>(layout);
  return layout;
}

TEST(SnapshotFormat, NoStructChangesWithoutItsVersion) {
  const auto now = layout_of_now();
  if (std::getenv("MOTE_WRITE_LAYOUT") != nullptr) {
    std::ofstream file(kLayoutFile);
    for (const auto& [name, text] : now) file << name << " " << text << "\n";
  }
  snapshot::test::Layout before;
  std::ifstream file(kLayoutFile);
  for (std::string line; std::getline(file, line);) {
    const auto space = line.find(' ');
    before[line.substr(0, space)] = line.substr(space + 1);
  }
  ASSERT_FALSE(before.empty());
  for (const auto& [name, text] : now) {
    EXPECT_EQ(before[name], text) << name << " is not as " << kLayoutFile << " has it";
  }
  EXPECT_EQ(before.size(), now.size()) << "a struct has gone";
}

TEST(SnapshotFormat, FilesOfThePastLoadStill) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(MOTE_SNAPSHOT_DATA)) {
    if (entry.path().extension() != ".state") continue;
    ++files;
    SCOPED_TRACE(entry.path());
    const auto loaded = read_snapshot(entry.path().string());
    ASSERT_TRUE(loaded) << loaded.error().text();
    const SnapshotState& state = loaded->state;
    EXPECT_EQ(state.config.machine.mem_size_mib, 4U);
    EXPECT_EQ(state.config.drives.front().path_on_host, "disk.img");
    EXPECT_EQ(state.memory.size(), 2U) << "RAM, and what can be plugged in";
    ASSERT_EQ(state.machine.vcpus.size(), 1U);
    EXPECT_FALSE(state.machine.vcpus.front().cpuid.empty());
    EXPECT_FALSE(state.machine.vcpus.front().msrs.empty());
    EXPECT_NE(state.machine.vcpus.front().regs.rip, 0U);
    EXPECT_GE(state.machine.devices.size(), 7U);
    EXPECT_TRUE(state.machine.metadata);
  }
  EXPECT_GE(files, 1);
}

}  // namespace
}  // namespace mote::machine

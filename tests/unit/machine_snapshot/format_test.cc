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
#include "snapshot/describe.h"

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
  EXPECT_GE(files, 2);
}

std::string newest_file() {
  auto bytes = snapshot::read_bytes_of(MOTE_SNAPSHOT_DATA "/format-1.0-pit-on-use.state");
  EXPECT_TRUE(bytes);
  return bytes.value_or("");
}

TEST(SnapshotFormat, AFileCutAnywhereOrWithAnyByteChangedIsRefused) {
  std::string bytes = newest_file();
  const auto whole = std::as_bytes(std::span(bytes));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    ASSERT_FALSE(snapshot::read_state_file(whole.first(length))) << length;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char good = bytes[at];
    bytes[at] = static_cast<char>(good ^ (1 << at % 8));
    const auto read = snapshot::read_state_file(std::as_bytes(std::span(bytes)));
    ASSERT_FALSE(read) << at;
    ASSERT_FALSE(read.error().text().empty());
    bytes[at] = good;
  }
  EXPECT_TRUE(snapshot::read_state_file(std::as_bytes(std::span(bytes))));
}

// As one makes it who means harm: a field is refused by name, or what it says is sound.
TEST(SnapshotFormat, AnyByteChangedUnderARightChecksumIsRefusedOrSound) {
  const std::string bytes = newest_file();
  const auto good = snapshot::read_state_file(std::as_bytes(std::span(bytes)));
  ASSERT_TRUE(good);
  std::vector<std::byte> body(good->body.begin(), good->body.end());
  unsigned sound = 0;
  unsigned refused = 0;
  for (std::size_t at = 0; at < body.size(); at += 3) {
    const std::byte before = body[at];
    body[at] ^= static_cast<std::byte>(0x81 >> at % 4);
    const auto file = snapshot::make_state_file(good->header, body);
    const auto read = snapshot::read_state_file(file);
    ASSERT_TRUE(read) << at;
    snapshot::Notes notes;
    const auto state = snapshot::read<SnapshotState>(read->body, notes);
    const bool right = state && check(state->config);
    ++(right ? sound : refused);
    body[at] = before;
  }
  EXPECT_GT(sound, 100U);
  EXPECT_GT(refused, 100U);
}

}  // namespace
}  // namespace mote::machine

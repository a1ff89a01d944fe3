// What `mote snapshot` says of state files, and does with memory files.
#include "engine/snapshot_files.h"

#include <gtest/gtest.h>

#include <boost/describe/class.hpp>

#include "snapshot/describe.h"
#include "snapshot/state_file.h"
#include "temp_dir.h"

namespace mote::engine {
namespace {

struct Part {
  std::uint32_t cpus = 2;
  std::string name = "one";
  std::vector<std::byte> blob = {std::byte{0xab}};
};
BOOST_DESCRIBE_STRUCT(Part, (), (cpus, name, blob))

struct State {
  Part config;
  std::vector<Part> list = {{}};
  std::optional<bool> absent{};
  std::int32_t below = -1;
};
BOOST_DESCRIBE_STRUCT(State, (), (config, list, absent, below))

class SnapshotFiles : public testing::Test {
 protected:
  std::string write(const std::string& name, const State& state) {
    const auto bytes = snapshot::make_state_file({.maker = "test 1"}, snapshot::write(state));
    return dir.write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  test::TempDir dir;
};

TEST_F(SnapshotFiles, SayWhatTheyHold) {
  const std::string path = write("s", {});
  EXPECT_EQ(*snapshot_version(path), "1.0.0");
  const std::string text = *inspect_snapshot(path, "", false);
  for (const char* line :
       {"maker = \"test 1\"\n", "architecture = x86_64\n", "config.cpus = 2\n",
        "list[0].name = \"one\"\n", "list[0].blob = ab\n", "absent = absent\n", "below = -1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << text << "lacks " << line;
  }
  EXPECT_EQ(*inspect_snapshot(path, "list", false),
            "list[0].cpus = 2\nlist[0].name = \"one\"\nlist[0].blob = ab\n");
  EXPECT_EQ(inspect_snapshot(path, "lis", false).error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(inspect_snapshot(path, "", true)
                ->find(R"("state":{"config":{"cpus":2,"name":"one","blob":"ab"},"list":[{)"),
            std::string::npos);
  EXPECT_FALSE(inspect_snapshot(path, "list", true));
}

TEST_F(SnapshotFiles, AreComparedPlaceByPlace) {
  const std::string one = write("one", {});
  EXPECT_TRUE(diff_snapshots(one, one)->empty());
  State other;
  other.config.cpus = 3;
  other.list.push_back({});
  other.absent = true;
  const auto lines = diff_snapshots(one, write("other", other));
  ASSERT_TRUE(lines);
  EXPECT_EQ(*lines, (std::vector<std::string>{
                        "absent: absent, true", "config.cpus: 2, 3", "list[1].blob: nothing, ab",
                        "list[1].cpus: nothing, 2", "list[1].name: nothing, \"one\""}));
}

TEST_F(SnapshotFiles, ThatAreNoneAreRefused) {
  const std::string path = dir.write("text", "hello");
  EXPECT_FALSE(snapshot_version(path));
  EXPECT_FALSE(inspect_snapshot(path, "", false));
  EXPECT_FALSE(diff_snapshots(path, path));
  // A sound header over nodes that are not whole.
  const auto bytes = snapshot::make_state_file({}, std::vector<std::byte>(3, std::byte{7}));
  const std::string broken =
      dir.write("b", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  EXPECT_FALSE(inspect_snapshot(broken, "", false));
  EXPECT_FALSE(inspect_snapshot(broken, "", true));
  EXPECT_TRUE(snapshot_version(broken));
}

TEST_F(SnapshotFiles, MemoryIsLaidOverMemory) {
  std::string base(64 << 10, 'b');
  dir.write("base", base);
  dir.write("diff", "");
  std::filesystem::resize_file(dir / "diff", base.size());
  std::fstream(dir / "diff", std::ios::in | std::ios::out).seekp(32 << 10).write("changed", 7);
  ASSERT_TRUE(rebase_snapshot(dir / "base", dir / "diff"));
  const std::string now = dir.read("base");
  EXPECT_EQ(now.size(), base.size());
  EXPECT_EQ(now.substr(32 << 10, 7), "changed");
  EXPECT_EQ(now.substr(0, 1000), base.substr(0, 1000));
  std::filesystem::resize_file(dir / "diff", 4096);
  EXPECT_FALSE(rebase_snapshot(dir / "base", dir / "diff"));
  EXPECT_FALSE(rebase_snapshot(dir / "base", dir / "none"));
  EXPECT_FALSE(rebase_snapshot(dir.path(), dir / "diff"));
  EXPECT_EQ(dir.read("base"), now);
}

}  // namespace
}  // namespace mote::engine

// Cgroups made of plain files: what would be written where. The kernel's own are in
// tests/isolation/jail.
#include "isolation/jail/cgroups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_dir.h"

namespace mote::isolation::jail {
namespace {

using testing::HasSubstr;

std::string error_of(const Result<void>& result) {
  return result ? "no error" : result.error().text();
}

// A host with one hierarchy, in which the cgroups that are used are there already, since a plain
// directory does not fill itself with files.
class Cgroups : public testing::Test {
 protected:
  void make(const std::string& path, const std::vector<std::string>& files) {
    std::filesystem::create_directories(dir_ / path);
    for (const std::string& file : files) dir_.write(fmt::format("{}/{}", path, file), "");
  }
  CgroupHost host(CgroupVersion version, std::vector<std::string> controllers = {}) {
    CgroupHost made;
    made.mounts = {{.version = version, .at = dir_.path(), .controllers = std::move(controllers)}};
    made.own = "4:cpu:/before\n0::/before\n";
    made.pid = "4321";
    return made;
  }

  test::TempDir dir_;
  std::vector<CgroupSetting> settings_ = {{"cpu.shares", "100"}};
  CgroupPlan plan_{.version = CgroupVersion::k1,
                   .parent = "fc/sub",
                   .id = "vm",
                   .settings = settings_,
                   .enter_parent = false};
};

TEST_F(Cgroups, AreSetAndEntered) {
  make("before", {"cgroup.procs"});
  make("fc/sub/vm", {"cpu.shares", "cgroup.procs"});
  {
    Undo undo;
    EXPECT_EQ(error_of(enter_cgroups(plan_, host(CgroupVersion::k1, {"cpu"}), undo)), "no error");
    EXPECT_EQ(dir_.read("fc/sub/vm/cpu.shares"), "100");
    EXPECT_EQ(dir_.read("fc/sub/vm/cgroup.procs"), "4321");
    EXPECT_EQ(dir_.read("before/cgroup.procs"), "");
  }
  EXPECT_EQ(dir_.read("before/cgroup.procs"), "4321");
  EXPECT_TRUE(std::filesystem::exists(dir_ / "fc/sub/vm")) << "was there before";
}

TEST_F(Cgroups, ThatWereMadeAreRemoved) {
  make("fc", {});
  {
    Undo undo;
    EXPECT_THAT(error_of(enter_cgroups(plan_, host(CgroupVersion::k1, {"cpu"}), undo)),
                HasSubstr("--cgroup cpu.shares"));
    EXPECT_TRUE(std::filesystem::exists(dir_ / "fc/sub/vm"));
  }
  EXPECT_TRUE(std::filesystem::exists(dir_ / "fc"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "fc/sub"));
}

TEST_F(Cgroups, WithoutAHierarchyAreRefused) {
  Undo undo;
  for (const CgroupHost& wrong : {host(CgroupVersion::k1, {"pids"}), host(CgroupVersion::k2)}) {
    EXPECT_THAT(error_of(enter_cgroups(plan_, wrong, undo)), HasSubstr("no cgroup v1 hierarchy"));
    EXPECT_THAT(error_of(check_hierarchies(plan_, wrong)), HasSubstr("\"cpu\""));
  }
}

TEST_F(Cgroups, OfCpusGetWhatTheirParentHas) {
  settings_ = {{"cpuset.cpus", "0"}};
  plan_.parent = "fc";
  plan_.settings = settings_;
  make("before", {"cgroup.procs"});
  for (const char* const place : {"", "fc", "fc/vm"}) {
    make(place, {"cpuset.cpus", "cpuset.mems", "cgroup.procs"});
  }
  dir_.write("cpuset.cpus", "0-3\n");
  dir_.write("cpuset.mems", "0\n");
  Undo undo;
  EXPECT_EQ(error_of(enter_cgroups(plan_, host(CgroupVersion::k1, {"cpuset"}), undo)), "no error");
  EXPECT_EQ(dir_.read("fc/cpuset.cpus"), "0-3");
  EXPECT_EQ(dir_.read("fc/vm/cpuset.mems"), "0");
  EXPECT_TRUE(dir_.read("fc/vm/cpuset.cpus").starts_with("0"));
}

class SecondCgroups : public Cgroups {
 protected:
  SecondCgroups() {
    settings_ = {{"pids.max", "9"}, {"memory.max", "4096"}};
    plan_ = {.version = CgroupVersion::k2,
             .parent = "fc",
             .id = "vm",
             .settings = settings_,
             .enter_parent = false};
    make("", {});
    make("before", {"cgroup.procs"});
    make("fc", {"cgroup.subtree_control", "cgroup.procs"});
    make("fc/vm", {"pids.max", "memory.max", "cgroup.procs"});
    dir_.write("cgroup.controllers", "cpu pids memory\n");
    dir_.write("cgroup.subtree_control", "pids memory\n");
  }
};

TEST_F(SecondCgroups, EnableControllersOnlyWhereTheyAreNot) {
  dir_.write("fc/cgroup.subtree_control", "pids\n");
  Undo undo;
  EXPECT_EQ(error_of(enter_cgroups(plan_, host(CgroupVersion::k2), undo)), "no error");
  EXPECT_EQ(dir_.read("cgroup.subtree_control"), "pids memory\n");
  EXPECT_TRUE(dir_.read("fc/cgroup.subtree_control").starts_with("+memory"));
  EXPECT_EQ(dir_.read("fc/vm/pids.max"), "9");
  EXPECT_EQ(dir_.read("fc/vm/memory.max"), "4096");
  EXPECT_EQ(dir_.read("fc/vm/cgroup.procs"), "4321");
}

TEST_F(SecondCgroups, RefuseAControllerThatIsNotThere) {
  settings_ = {{"io.max", "8:0 rbps=1"}};
  plan_.settings = settings_;
  Undo undo;
  const std::string text = error_of(enter_cgroups(plan_, host(CgroupVersion::k2), undo));
  EXPECT_THAT(text, HasSubstr("has no controller \"io\"; it has: cpu pids memory"));
  EXPECT_EQ(dir_.read("fc/vm/cgroup.procs"), "");
}

TEST_F(SecondCgroups, OfTheParentAreEnteredWhereNothingIsSet) {
  plan_.settings = {};
  {
    Undo undo;
    EXPECT_EQ(error_of(enter_cgroups(plan_, host(CgroupVersion::k2), undo)), "no error");
    EXPECT_EQ(dir_.read("fc/cgroup.procs"), "") << "nobody named a parent";
    plan_.enter_parent = true;
    EXPECT_EQ(error_of(enter_cgroups(plan_, host(CgroupVersion::k2), undo)), "no error");
    EXPECT_EQ(dir_.read("fc/cgroup.procs"), "4321");
    undo.keep();
  }
  plan_.parent = "none";
  Undo undo;
  EXPECT_EQ(error_of(enter_cgroups(plan_, host(CgroupVersion::k2), undo)), "no error");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "none"));
}

TEST_F(Cgroups, LinksAreNotFollowed) {
  make("elsewhere/sub/vm", {"cpu.shares", "cgroup.procs"});
  std::filesystem::create_symlink("elsewhere", dir_ / "fc");
  Undo undo;
  EXPECT_THAT(error_of(enter_cgroups(plan_, host(CgroupVersion::k1, {"cpu"}), undo)),
              HasSubstr("'fc' is a symbolic link"));
  EXPECT_EQ(dir_.read("elsewhere/sub/vm/cpu.shares"), "");
}

TEST_F(Cgroups, AreRemovedByName) {
  make("fc/vm", {});
  make("fc/other", {"file"});
  const CgroupHost here = host(CgroupVersion::k2);
  EXPECT_EQ(error_of(remove_cgroups("fc", "vm", here)), "no error");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "fc/vm"));
  EXPECT_EQ(error_of(remove_cgroups("fc", "vm", here)), "no error");
  EXPECT_EQ(error_of(remove_cgroups("none", "vm", here)), "no error");
  EXPECT_THAT(error_of(remove_cgroups("fc", "other", here)), HasSubstr("fc/other"));
}

}  // namespace
}  // namespace mote::isolation::jail

#include "isolation/jail/cgroup_mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::isolation::jail {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(CgroupMounts, ReadsBothVersions) {
  const auto mounts = parse_cgroup_mounts(
      "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
      "30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "31 29 0:27 / /sys/fs/cgroup/unified rw shared:10 master:2 - cgroup2 cgroup2 "
      "rw,nsdelegate\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_EQ(mounts[0].version, CgroupVersion::k1);
  EXPECT_EQ(mounts[0].at, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_THAT(mounts[0].controllers, ElementsAre("rw", "cpu", "cpuacct"));
  EXPECT_EQ(mounts[1].version, CgroupVersion::k2);
  EXPECT_EQ(mounts[1].at, "/sys/fs/cgroup/unified");
  EXPECT_THAT(mounts[1].controllers, IsEmpty());
}

TEST(CgroupMounts, ReadsPathsAsTheKernelWritesThem) {
  const auto mounts = parse_cgroup_mounts("1 2 0:3 / /a\\040b\\134c\\0 rw - cgroup2 x rw\n");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].at, "/a b\\c\\0");
}

TEST(MountPoints, AreAllThatThereAre) {
  EXPECT_THAT(parse_mount_points("22 1 254:0 / / rw - ext4 /dev/vda rw\nx\n"
                                 "23 22 0:5 / /a\\040b rw shared:1 - tmpfs none rw\n"),
              ElementsAre("/", "/a b"));
}

TEST(CgroupMounts, PassesOverWhatIsNoMount) {
  EXPECT_THAT(parse_cgroup_mounts(""), IsEmpty());
  EXPECT_THAT(parse_cgroup_mounts(" - \n - cgroup2\n1 2 - cgroup x rw\n1 2 3 4 5 rw cgroup2 x\n"),
              IsEmpty());
}

TEST(OwnCgroup, IsThatOfTheHierarchy) {
  const std::string text = "9:name=systemd:/s\n4:cpu,cpuacct:/a/b\n0::/c:d\n";
  EXPECT_EQ(parse_own_cgroup(text, "cpuacct"), "/a/b");
  EXPECT_EQ(parse_own_cgroup(text, "name=systemd"), "/s");
  EXPECT_EQ(parse_own_cgroup(text, ""), "/c:d");
  EXPECT_EQ(parse_own_cgroup(text, "pids"), std::nullopt);
  EXPECT_EQ(parse_own_cgroup("", ""), std::nullopt);
}

}  // namespace
}  // namespace mote::isolation::jail

#include "programs/mote_jailer/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::jailer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using Words = std::vector<const char*>;

// After the four that every jail needs.
Result<Arguments> with(Words words) {
  words.insert(words.begin(), {"--id", "vm", "--exec-file", "/x", "--uid", "1", "--gid", "2"});
  return parse(words);
}

std::string error_of(const Result<Arguments>& result) {
  return result ? "no error" : result.error().text();
}

TEST(JailerArguments, HaveFirecrackersDefaults) {
  const auto arguments = with({});
  ASSERT_TRUE(arguments) << arguments.error().text();
  const auto& jail = arguments->jail;
  EXPECT_EQ(jail.id, "vm");
  EXPECT_EQ(jail.exec_file, "/x");
  EXPECT_EQ(jail.uid, 1U);
  EXPECT_EQ(jail.gid, 2U);
  EXPECT_EQ(jail.base, "/srv/jailer");
  EXPECT_EQ(jail.cgroup_version, isolation::jail::CgroupVersion::k1);
  EXPECT_FALSE(jail.netns || jail.daemonize || jail.new_pid_ns || jail.new_cgroup_ns ||
               jail.user_ns || jail.share_exec || jail.parent_cgroup || jail.limits.fsize ||
               jail.limits.no_file || arguments->cleanup);
  EXPECT_THAT(jail.cgroups, IsEmpty());
  EXPECT_THAT(jail.arguments, IsEmpty());
  EXPECT_EQ(jail.limits.kNoFile, 2048U);
}

TEST(JailerArguments, TakeEveryFlag) {
  const auto arguments = with({"--chroot-base-dir",
                               "/b",
                               "--netns",
                               "/n",
                               "--cgroup",
                               "cpu.shares=1",
                               "--cgroup",
                               "io.max=8:0 rbps=1",
                               "--cgroup-version",
                               "2",
                               "--parent-cgroup",
                               "a/b",
                               "--resource-limit",
                               "fsize=5",
                               "--resource-limit",
                               "no-file=6",
                               "--resource-limit",
                               "no-file=7",
                               "--daemonize",
                               "--new-pid-ns",
                               "--new-cgroup-ns",
                               "--user-ns",
                               "--share-exec",
                               "--",
                               "--id",
                               "--",
                               "x"});
  ASSERT_TRUE(arguments) << arguments.error().text();
  const auto& jail = arguments->jail;
  EXPECT_EQ(jail.base, "/b");
  EXPECT_EQ(jail.netns, "/n");
  ASSERT_EQ(jail.cgroups.size(), 2U);
  EXPECT_EQ(jail.cgroups[0].file, "cpu.shares");
  EXPECT_EQ(jail.cgroups[0].value, "1");
  EXPECT_EQ(jail.cgroups[1].controller(), "io");
  EXPECT_EQ(jail.cgroups[1].value, "8:0 rbps=1");
  EXPECT_EQ(jail.cgroup_version, isolation::jail::CgroupVersion::k2);
  EXPECT_EQ(jail.parent_cgroup, "a/b");
  EXPECT_EQ(jail.limits.fsize, 5U);
  EXPECT_EQ(jail.limits.no_file, 7U);
  EXPECT_TRUE(jail.daemonize && jail.new_pid_ns && jail.new_cgroup_ns && jail.user_ns &&
              jail.share_exec);
  EXPECT_THAT(jail.arguments, ElementsAre("--id", "--", "x"));
}

TEST(JailerArguments, MissAFlag) {
  for (std::size_t left_out = 0; left_out < 8; left_out += 2) {
    Words words{"--id", "vm", "--exec-file", "/x", "--uid", "1", "--gid", "2"};
    const std::string name = words[left_out];
    words.erase(words.begin() + static_cast<long>(left_out),
                words.begin() + static_cast<long>(left_out) + 2);
    EXPECT_THAT(error_of(parse(words)), StartsWith(name + " is missing")) << name;
  }
  EXPECT_NE(error_of(parse(Words{})), "no error");
  EXPECT_NE(error_of(parse(Words{"--"})), "no error");
}

TEST(JailerArguments, RefuseWhatIsGivenTwiceOrIsNone) {
  for (const char* const flag : {"--id", "--exec-file", "--uid", "--gid"}) {
    EXPECT_THAT(error_of(with({flag, "1"})), HasSubstr("given twice")) << flag;
  }
  EXPECT_THAT(error_of(with({"--daemonize", "--daemonize"})), HasSubstr("given twice"));
  EXPECT_THAT(error_of(with({"--netns", "a", "--netns", "a"})), HasSubstr("given twice"));
  EXPECT_THAT(error_of(with({"--nope"})), HasSubstr("not a flag of mote-jailer"));
  EXPECT_THAT(error_of(with({"x"})), HasSubstr("not a flag"));
  EXPECT_THAT(error_of(with({"--daemonize", "x"})), HasSubstr("not a flag"));
  EXPECT_THAT(error_of(with({"--daemonize=true"})), HasSubstr("an argument of its own"));
  for (const char* const flag : {"--netns", "--cgroup", "--cgroup-version", "--parent-cgroup",
                                 "--resource-limit", "--chroot-base-dir"}) {
    EXPECT_THAT(error_of(with({flag})), HasSubstr("lacks its value")) << flag;
    EXPECT_THAT(error_of(with({flag, "--daemonize"})), HasSubstr("lacks its value")) << flag;
  }
}

TEST(JailerArguments, RefuseWrongValues) {
  const std::string too_long(65, 'a');
  for (const char* const id :
       {"", "a_b", "a.b", "a/b", "..", "\xc3\xa9", "a b", too_long.c_str()}) {
    const auto got = parse(Words{"--id", id, "--exec-file", "/x", "--uid", "1", "--gid", "2"});
    EXPECT_THAT(error_of(got), StartsWith("--id is ")) << id;
  }
  for (const char* const user :
       {"", "-1", "x", "root", "1.5", "4294967295", "4294967296", " 1", "0x1"}) {
    const auto uid = parse(Words{"--id", "v", "--exec-file", "/x", "--uid", user, "--gid", "2"});
    EXPECT_THAT(error_of(uid), StartsWith("--uid is ")) << user;
    const auto gid = parse(Words{"--id", "v", "--exec-file", "/x", "--uid", "1", "--gid", user});
    EXPECT_THAT(error_of(gid), StartsWith("--gid is ")) << user;
  }
  for (const char* const version : {"", "0", "3", "x", "1.0"}) {
    EXPECT_THAT(error_of(with({"--cgroup-version", version})), HasSubstr("must be 1 or 2"));
  }
  for (const char* const setting : {"", "=1", "cpu.shares", "cpu.shares=", "cpu=1", "cpu/shares=1",
                                    "../cpu.shares=1", ".x=1", "cpu.=1", "cpu..shares=1"}) {
    EXPECT_THAT(error_of(with({"--cgroup", setting})), StartsWith("--cgroup ")) << setting;
  }
  for (const char* const parent : {"/a", "..", "../a", "a/..", ".", "a/./b", "/"}) {
    EXPECT_THAT(error_of(with({"--parent-cgroup", parent})), HasSubstr("below the hierarchy"));
  }
  for (const char* const limit :
       {"", "no-file", "=5", "zzz=5", "no-file=-1", "no-file=x", "no-file=1=2", "NO-FILE=1",
        "no-file= 1", "fsize=18446744073709551616"}) {
    EXPECT_THAT(error_of(with({"--resource-limit", limit})), StartsWith("--resource-limit "));
  }
  EXPECT_THAT(error_of(with({"--chroot-base-dir", ""})), HasSubstr("is empty"));
  EXPECT_THAT(error_of(with({"--netns", ""})), HasSubstr("is empty"));
}

TEST(JailerArguments, TakeUnusualValuesThatFirecrackerTakes) {
  for (const char* const parent : {"", "a", "a/", "a//b"}) {
    EXPECT_EQ(error_of(with({"--parent-cgroup", parent})), "no error") << parent;
  }
  EXPECT_EQ(error_of(parse(
                Words{"--id", "-", "--exec-file", "/x", "--uid", "+0", "--gid", "4294967294"})),
            "no error");
  EXPECT_EQ(with({"--resource-limit", "fsize=18446744073709551615"})->jail.limits.fsize,
            18446744073709551615U);
}

TEST(JailerArguments, OfACleanupNameAJail) {
  const auto arguments = parse(Words{"--cleanup", "--id", "vm", "--chroot-base-dir", "/b",
                                     "--parent-cgroup", "p", "--exec-file", "/x"});
  ASSERT_TRUE(arguments) << arguments.error().text();
  EXPECT_TRUE(arguments->cleanup);
  EXPECT_EQ(error_of(parse(Words{"--cleanup", "--id", "vm"})), "no error");
  EXPECT_THAT(error_of(parse(Words{"--cleanup"})), StartsWith("--id is missing"));
  EXPECT_THAT(error_of(parse(Words{"--cleanup", "--id", "a/b"})), StartsWith("--id is "));
  EXPECT_EQ(error_of(parse(Words{"--cleanup", "--id", "vm", "--daemonize"})),
            "--daemonize does not go with --cleanup");
}

TEST(JailerArguments, ShowHelpAndVersionBeforeAnythingElse) {
  EXPECT_TRUE(parse(Words{"--nope", "--help"})->help);
  EXPECT_TRUE(parse(Words{"-h"})->help);
  EXPECT_TRUE(parse(Words{"--version", "--id", "x"})->version);
  EXPECT_TRUE(parse(Words{"--version", "--help"})->help);
  EXPECT_NE(error_of(parse(Words{"--", "--help"})), "no error");
  EXPECT_THAT(version("/a/jailer"), StartsWith("Jailer v1.17.0\nmote-jailer v"));
  EXPECT_THAT(version("mote-jailer"), StartsWith("mote-jailer v"));
  for (const char* const flag : {"--id", "--user-ns", "--resource-limit", "--cleanup"}) {
    EXPECT_THAT(help("jailer"), HasSubstr(flag));
  }
}

}  // namespace
}  // namespace mote::jailer

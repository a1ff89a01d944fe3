// What `mote fork` asks of each child's monitor, and how it takes a shell.
#include "engine/fork.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/pool.h"
#include "temp_dir.h"

namespace mote::engine {
namespace {

std::string body(const std::string& with, unsigned number, bool paused = false) {
  const auto made = load_of_child({.with = with, .paused = paused}, number);
  return made ? *made : made.error().text();
}

TEST(Fork, AChildIsLoadedFromDescriptors) {
  EXPECT_EQ(body("", 1), R"({"mem_backend":{"backend_type":"Descriptors"},"resume_vm":true})");
  EXPECT_EQ(body(" {} ", 1, true),
            R"({"mem_backend":{"backend_type":"Descriptors"},"resume_vm":false})");
}

TEST(Fork, FurtherFieldsHaveTheChildsNumber) {
  EXPECT_EQ(
      body(R"({"vsock_override": {"uds_path": "/run/{n}-{n}"}})", 12),
      R"({"mem_backend":{"backend_type":"Descriptors"},"resume_vm":true,"vsock_override": {"uds_path": "/run/12-12"}})");
}

TEST(Fork, WhatIsNoObjectIsRefused) {
  for (const char* with : {"x", "[]", "1", R"("{}")", "{", R"({"a":})", "{} {}"}) {
    EXPECT_FALSE(load_of_child({.with = with}, 1)) << with;
  }
}

TEST(Fork, ADirectoryThatIsNoneIsFoundBeforeTheParentIsAsked) {
  const test::TempDir place;
  place.write("file", "");
  for (const char* name : {"gone", "file"}) {
    const auto forked = fork_microvm({.socket = place / "nobody.sock", .directory = place / name});
    ASSERT_FALSE(forked) << name;
    EXPECT_THAT(forked.error().text(), testing::HasSubstr(place / name));
  }
}

TEST(Pool, AShellIsTakenOnce) {
  const test::TempDir pool;
  const test::TempDir mine;
  EXPECT_FALSE(take_shell(pool.path(), mine / "s"));
  EXPECT_FALSE(take_shell(pool / "gone", mine / "s"));
  pool.write("shell-1.sock", "");
  pool.write(".2.sock", "");
  pool.write("log", "");
  EXPECT_TRUE(take_shell(pool.path(), mine / "s"));
  EXPECT_TRUE(std::filesystem::exists(mine / "s"));
  EXPECT_FALSE(take_shell(pool.path(), mine / "t"));
}

}  // namespace
}  // namespace mote::engine

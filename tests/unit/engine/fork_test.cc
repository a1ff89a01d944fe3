// What `mote fork` asks of each child's monitor, and how it takes a shell.
#include "engine/fork.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>

#include "base/unique_fd.h"
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

TEST(Fork, PlacesThatCannotBeUsedAreFoundBeforeTheParentIsAsked) {
  const test::TempDir place;
  const auto forked = fork_microvm(
      {.socket = place / "nobody.sock", .directory = place.path(), .pool = place / "gone"});
  ASSERT_FALSE(forked);
  EXPECT_THAT(forked.error().text(), testing::HasSubstr(place / "gone"));
  const std::string deep = place / std::string(100, 'd');
  std::filesystem::create_directory(deep);
  const auto too_long = fork_microvm({.socket = place / "nobody.sock", .directory = deep});
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().text(), testing::HasSubstr("1 to 107 bytes"));
}

// A socket at which somebody listens, until it goes.
UniqueFd listen_at(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(socket.get(), 8), 0);
  return socket;
}

TEST(Pool, AShellIsTakenOnce) {
  const test::TempDir pool;
  const test::TempDir mine;
  EXPECT_EQ(take_shell(pool.path(), mine / "s").value_or("?"), std::nullopt);
  EXPECT_FALSE(take_shell(pool / "gone", mine / "s"));
  const UniqueFd shell = listen_at(pool / "shell-1.sock");
  pool.write(".2.sock", "");
  pool.write("log", "");
  EXPECT_EQ(take_shell(pool.path(), mine / "s").value_or("?"), pool / "shell-1.sock");
  EXPECT_TRUE(std::filesystem::exists(mine / "s"));
  EXPECT_EQ(take_shell(pool.path(), mine / "t").value_or("?"), std::nullopt);
}

TEST(Pool, AShellThatHasEndedIsNoneAndTheNextIsTaken) {
  const test::TempDir pool;
  const test::TempDir mine;
  for (const char* name : {"shell-1.sock", "shell-2.sock", "shell-4.sock"}) {
    listen_at(pool / name);
  }
  const UniqueFd shell = listen_at(pool / "shell-3.sock");
  EXPECT_EQ(take_shell(pool.path(), mine / "s").value_or("?"), pool / "shell-3.sock");
  EXPECT_EQ(take_shell(pool.path(), mine / "t").value_or("?"), std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(mine / "t"));
}

TEST(Pool, WhereAShellCannotBeMovedItIsAnErrorAndStays) {
  const test::TempDir pool;
  const UniqueFd shell = listen_at(pool / "shell-1.sock");
  pool.write("file", "");
  EXPECT_FALSE(take_shell(pool.path(), pool / "file/s"));
  EXPECT_TRUE(std::filesystem::exists(pool / "shell-1.sock"));
}

}  // namespace
}  // namespace mote::engine

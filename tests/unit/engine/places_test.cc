#include "engine/places.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "temp_dir.h"

namespace mote::engine {
namespace {

using testing::HasSubstr;

Environment with(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(CacheDirectory, IsNamedByTheFirstThatSaysSo) {
  EXPECT_EQ(cache_directory(with({{"HOME", "/h"}})), "/h/.cache/mote");
  EXPECT_EQ(cache_directory(with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}})), "/x/mote");
  EXPECT_EQ(cache_directory(with({{"XDG_CACHE_HOME", "/x"}, {"MOTE_CACHE", "/m"}})), "/m");
  EXPECT_EQ(cache_directory(with({{"HOME", "/h"}, {"MOTE_CACHE", ""}})), "/h/.cache/mote");
}

class DefaultKernelTest : public testing::Test {
 protected:
  std::string add_kernel(const std::string& name) {
    ::mkdir((cache / name).c_str(), 0755);
    return cache.write(name + "/vmlinux", "kernel");
  }
  std::string found(std::map<std::string, std::string> more = {}) {
    more["MOTE_CACHE"] = cache.path();
    const auto kernel = default_kernel(with(more));
    return kernel ? *kernel : kernel.error().text();
  }

  test::TempDir cache;
};

TEST_F(DefaultKernelTest, EnvironmentComesFirst) {
  add_kernel("kernel-1");
  EXPECT_EQ(found({{"MOTE_KERNEL", "/some/vmlinux"}}), "/some/vmlinux");
}

TEST_F(DefaultKernelTest, NewestOfTheCacheUnlessOneIsChosen) {
  const std::string old = add_kernel("kernel-1");
  const std::string fresh = add_kernel("kernel-2");
  add_kernel("other-3");
  ::mkdir((cache / "kernel-empty").c_str(), 0755);
  std::filesystem::last_write_time(
      old, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(found(), fresh);
  ASSERT_EQ(::symlink(old.c_str(), (cache / "default-kernel").c_str()), 0);
  EXPECT_EQ(found(), cache / "default-kernel");
}

TEST_F(DefaultKernelTest, WithoutOneTheErrorSaysWhatToDo) {
  EXPECT_THAT(found(), HasSubstr("quickstart"));
  ASSERT_EQ(::symlink("/no/such/kernel", (cache / "default-kernel").c_str()), 0);
  EXPECT_THAT(found(), HasSubstr("quickstart"));
}

TEST(SiblingProgram, MissingOneIsNamed) {
  const auto program = sibling_program("no-such-program");
  ASSERT_FALSE(program);
  EXPECT_THAT(program.error().text(), HasSubstr("no-such-program"));
  EXPECT_TRUE(sibling_program("unit_engine"));
}

}  // namespace
}  // namespace mote::engine

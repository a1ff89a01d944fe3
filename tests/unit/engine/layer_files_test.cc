// `mote layer` on files.
#include "engine/layer_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "storage/overlay/disk.h"
#include "temp_dir.h"

namespace mote::engine {
namespace {

using mote::test::TempDir;

std::string content(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

void write(const std::string& path, const std::vector<std::string>& below, std::uint64_t at,
           std::string bytes, const std::string& sealed = {}) {
  auto disk = storage::overlay::OverlayDisk::open(path, {.below = below});
  ASSERT_TRUE(disk) << disk.error().text();
  (*disk)->submit(
      {.op = storage::Op::kWrite, .offset = at, .buffers = {{bytes.data(), bytes.size()}}},
      [](const storage::DiskRequest&, const Result<void>& result) { EXPECT_TRUE(result); });
  if (!sealed.empty()) EXPECT_TRUE((*disk)->freeze(sealed));
}

TEST(LayerFiles, AreMadeShownCheckedAndCommitted) {
  TempDir dir;
  const std::string base = dir.write("base", std::string(1 << 20, 'b'));
  ASSERT_TRUE(create_layer(dir / "top", {base}, 2 << 20, 8192));
  EXPECT_FALSE(create_layer(dir / "top", {base}, 0, 0)) << "it is there";
  EXPECT_FALSE(create_layer(dir / "other", {base}, 512, 0)) << "less than the base";
  EXPECT_FALSE(create_layer(dir / "other", {base}, 0, 5000));
  EXPECT_FALSE(create_layer(dir / "other", {base}, 0, 2048));
  EXPECT_FALSE(create_layer(dir / "other", {base, dir / "top"}, 0, 0)) << "not sealed";
  const auto fresh = layer_info(dir / "top", false);
  ASSERT_TRUE(fresh) << fresh.error().text();
  EXPECT_NE(fresh->find("use = fresh\nsize = 2097152\ncluster_size = 8192\nclusters_held = 0\n"),
            std::string::npos)
      << *fresh;
  write(dir / "top", {base}, 4096, std::string(8192, 'w'), dir / "sealed");
  const auto info = layer_info(dir / "sealed", true);
  ASSERT_TRUE(info);
  EXPECT_NE(info->find(R"("use":"sealed")"), std::string::npos) << *info;
  EXPECT_NE(info->find(R"("clusters_held":2)"), std::string::npos) << *info;
  EXPECT_TRUE(check_layer(dir / "sealed", {base})->empty());
  EXPECT_EQ(check_layer(dir / "sealed", {dir.write("wrong", std::string(1 << 20, 'x'))})->size(),
            1U);
  EXPECT_FALSE(check_layer(base, {}));
  EXPECT_FALSE(layer_info(base, false));

  write(dir / "top", {base, dir / "sealed"}, 0, std::string(512, 't'), dir / "sealed2");
  ASSERT_TRUE(commit_layers(dir / "image", {base, dir / "sealed", dir / "sealed2"}));
  std::string expected(2 << 20, '\0');
  expected.replace(0, 1 << 20, 1 << 20, 'b');
  expected.replace(4096, 8192, 8192, 'w');
  expected.replace(0, 512, 512, 't');
  EXPECT_TRUE(content(dir / "image") == expected);
  struct stat facts{};
  ASSERT_EQ(::stat((dir / "image").c_str(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 1100 << 10) << "zeros are holes";
  EXPECT_FALSE(commit_layers(dir / "image2", {base, dir / "sealed2"}));
  EXPECT_FALSE(std::filesystem::exists(dir / "image2"));
}

TEST(LayerFiles, DamageIsFound) {
  TempDir dir;
  const std::string base = dir.write("base", std::string(1 << 20, 'b'));
  ASSERT_TRUE(create_layer(dir / "top", {base}, 0, 0));
  for (const int at : {0, 8192}) write(dir / "top", {base}, at, std::string(512, 'w'));
  std::string bytes = content(dir / "top");
  const std::size_t map = 2 * 4096;
  bytes[map + 100] ^= 1;
  dir.write("one", bytes);
  EXPECT_EQ(check_layer(dir / "one", {})->size(), 1U);
  bytes[map + 4096 + 100] ^= 1;
  dir.write("both", bytes);
  const auto both = check_layer(dir / "both", {});
  ASSERT_EQ(both->size(), 1U);
  EXPECT_NE(both->front().find("damaged"), std::string::npos);
}

}  // namespace
}  // namespace mote::engine

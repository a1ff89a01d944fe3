// What a path can be, and what is said of it.
#include "storage/file_disk.h"

#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "storage/temp_file.h"

namespace mote::storage::test {
namespace {

std::string sized(std::size_t bytes) { return std::string(bytes, 'x'); }

void expect_refused(const std::string& path, ErrorKind kind, const std::string& complaint) {
  for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
    const auto disk = FileDisk::open(path, access);
    ASSERT_FALSE(disk) << path;
    EXPECT_EQ(disk.error().kind(), kind) << disk.error().text();
    EXPECT_NE(disk.error().text().find(complaint), std::string::npos) << disk.error().text();
    EXPECT_NE(disk.error().text().find(path), std::string::npos) << disk.error().text();
  }
}

TEST(FileDisk, IsCutToWholeSectors) {
  for (const auto& [bytes, size] : {std::pair<std::size_t, std::uint64_t>{0, 0},
                                    {1, 0},
                                    {511, 0},
                                    {512, 512},
                                    {513, 512},
                                    {1535, 1024}}) {
    const TempFile file(sized(bytes));
    const auto disk = FileDisk::open(file.path(), Access::kReadWrite);
    ASSERT_TRUE(disk) << bytes;
    EXPECT_EQ((*disk)->size(), size) << bytes;
  }
}

TEST(FileDisk, RefusesWhatIsNoDisk) {
  expect_refused("/nonexistent/disk.img", ErrorKind::kNotFound, "No such file");
  expect_refused(::testing::TempDir(), ErrorKind::kInvalid, "a directory");
  expect_refused("/dev/null", ErrorKind::kInvalid, "a character device");
  const TempFile place("");
  const std::string fifo = place.path() + ".fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  expect_refused(fifo, ErrorKind::kInvalid, "a pipe");
  ::unlink(fifo.c_str());
  const std::string loop = place.path() + ".loop";
  ASSERT_EQ(::symlink(loop.c_str(), loop.c_str()), 0);
  expect_refused(loop, ErrorKind::kInvalid, "symbolic links");
  ::unlink(loop.c_str());
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string name = place.path() + ".sock";
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  expect_refused(name, ErrorKind::kInvalid, "a socket");
  ::unlink(name.c_str());
}

TEST(FileDisk, RefusesAFileThatItMayNotOpen) {
  const TempFile file(sized(512));
  ASSERT_EQ(::chmod(file.path().c_str(), 0444), 0);
  // Root may open every file; this thread sees files as another user does, for a while.
  const int self = ::setfsuid(65534);
  EXPECT_TRUE(FileDisk::open(file.path(), Access::kReadOnly));
  const auto disk = FileDisk::open(file.path(), Access::kReadWrite);
  ::setfsuid(static_cast<uid_t>(self));
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().kind(), ErrorKind::kPermission);
  EXPECT_NE(disk.error().text().find(file.path()), std::string::npos);
}

TEST(FileDisk, FollowsALink) {
  const TempFile file(sized(1024));
  const std::string link = file.path() + ".link";
  ASSERT_EQ(::symlink(file.path().c_str(), link.c_str()), 0);
  const auto disk = FileDisk::open(link, Access::kReadOnly);
  ::unlink(link.c_str());
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->size(), 1024U);
}

TEST(FileDisk, IdentityIsTheFilesNumbers) {
  const TempFile file(sized(512));
  struct stat status{};
  ASSERT_EQ(::stat(file.path().c_str(), &status), 0);
  const auto disk = FileDisk::open(file.path(), Access::kReadOnly);
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->identity(), std::to_string(status.st_dev) + std::to_string(status.st_rdev) +
                                     std::to_string(status.st_ino));
}

TEST(FileDisk, AFileThatShrankIsAnIoError) {
  const TempFile file(sized(4096));
  const auto disk = FileDisk::open(file.path(), Access::kReadOnly);
  ASSERT_TRUE(disk);
  ASSERT_EQ(::truncate(file.path().c_str(), 1000), 0);
  std::string bytes(2048, '!');
  std::optional<Result<void>> outcome;
  (*disk)->submit({.op = Op::kRead, .offset = 0, .buffers = {{bytes.data(), bytes.size()}}},
                  [&](const DiskRequest&, Result<void> result) { outcome = std::move(result); });
  ASSERT_TRUE(outcome);
  ASSERT_FALSE(*outcome);
  EXPECT_EQ(outcome->error().kind(), ErrorKind::kIo);
  EXPECT_NE(outcome->error().text().find("offset 1000"), std::string::npos)
      << outcome->error().text();
}

}  // namespace
}  // namespace mote::storage::test

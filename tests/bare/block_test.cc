// A block device driven by a guest over virtio-mmio. Drivers that lie are in lying_driver_test.cc.

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "bare_test.h"

namespace mote::bare {
namespace {

constexpr std::uint64_t kFine = 0x0f;
constexpr std::size_t kSector = 512;
constexpr std::size_t kDiskSectors = 128;

class BlockTest : public BareTest {
 protected:
  std::string make_disk() const {
    std::string content = "hello from disk\n";
    content.resize(kDiskSectors * kSector, '\0');
    return write_file("disk", content);
  }
  std::string disk_text(std::size_t offset, std::size_t length) const {
    std::ifstream file(path_of("disk"), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    std::string text(length, '\0');
    file.read(text.data(), static_cast<std::streamsize>(length));
    return text;
  }
  // The count of this name, wherever it is in the last line of the metrics.
  static std::uint64_t counted(const std::string& metrics, const std::string& name) {
    std::ifstream file(metrics);
    std::string line;
    std::string last;
    while (std::getline(file, line)) last = line;
    const std::size_t at = last.find('"' + name + "\":");
    return at == std::string::npos ? 0 : std::stoull(last.substr(at + name.size() + 3));
  }
  // The line of a request: its result must be `result`, and the device must have written `written`
  // bytes.
  static void expect_request(const std::string& output, const std::string& name, unsigned result,
                             std::size_t written) {
    const Fields line = line_with(output, name + " ");
    ASSERT_FALSE(line.empty()) << name << " is missing:\n" << output;
    EXPECT_EQ(number(line, "result"), result) << name;
    EXPECT_EQ(number(line, "head"), 0) << name;
    EXPECT_EQ(number(line, "written"), written) << name;
  }
};

TEST_F(BlockTest, ServesADriver) {
  const std::string output =
      output_of({.guest = "virtio_blk",
                 .drives = {drive("scratch", make_disk(), R"(, "cache_type": "Writeback")")}});
  const Fields device = line_with(output, "magic=");
  EXPECT_EQ(number(device, "magic"), 0x74726976);
  EXPECT_EQ(number(device, "version"), 2);
  EXPECT_EQ(number(device, "id"), 2);
  EXPECT_EQ(number(device, "queue_max"), 256);
  EXPECT_NE(number(device, "features") & 1ULL << 32, 0) << "VERSION_1";
  EXPECT_NE(number(device, "features") & 1ULL << 9, 0) << "FLUSH";
  EXPECT_EQ(number(device, "features") & 1ULL << 5, 0) << "read-only";
  EXPECT_EQ(number(device, "capacity"), kDiskSectors);
  EXPECT_EQ(number(device, "status"), kFine);

  expect_request(output, "read", 0, kSector + 1);
  expect_request(output, "write", 0, 1);
  expect_request(output, "reread", 0, kSector + 1);
  expect_request(output, "flush", 0, 1);
  expect_request(output, "id", 0, 21);
  const auto data = lines_with(output, "data=");
  ASSERT_EQ(data.size(), 3U) << output;
  EXPECT_TRUE(output.contains("\ndata=hello from disk\n")) << output;
  EXPECT_TRUE(output.contains("\ndata=written by guest\n")) << output;
  EXPECT_EQ(disk_text(kSector, kSector), "written by guest" + std::string(kSector - 16, '.'));
}

// One read after the other, each awaited by its interrupt: answered on the vCPU's thread after the
// first few, but for those that try the machine thread. None is lost on the way from one to the
// other.
TEST_F(BlockTest, AnswersReadsThatComeOneByOneAtOnce) {
  std::string content(kDiskSectors * kSector, '\0');
  for (std::size_t sector = 0; sector < kDiskSectors; ++sector) {
    content[sector * kSector] = static_cast<char>(sector);
  }
  const std::string in_memory = fmt::format("/dev/shm/mote-reads-{}", ::getpid());
  std::ofstream(in_memory, std::ios::binary) << content;
  for (const std::string& path : {write_file("disk", content), in_memory}) {
    for (const std::string engine : {"Sync", "Async"}) {
      for (const unsigned vcpus : {1U, 2U}) {
        const std::string metrics = path_of("metrics");
        std::filesystem::remove(metrics);
        const Outcome outcome =
            run({.guest = "reads",
                 .vcpus = vcpus,
                 .drives = {drive("disk", path, fmt::format(R"(, "io_engine": "{}")", engine))},
                 .flags = {"--metrics-path", metrics}});
        EXPECT_EQ(outcome.output, "wrong=00000000\n") << path << ' ' << engine;
        // Kicks that come so are exits; few others are.
        if (path == in_memory) EXPECT_GT(counted(metrics, "exit_mmio_write"), 500U) << engine;
      }
    }
  }
  std::filesystem::remove(in_memory);
}

// The cause stays until a reset: the guest reads it from memory, where it cannot be taken back
// without a race.
TEST_F(BlockTest, RaisesItsInterrupt) {
  const std::string output =
      output_of({.guest = "virtio_blk", .drives = {drive("scratch", make_disk())}});
  const Fields line = line_with(output, "interrupt=");
  EXPECT_EQ(number(line, "interrupt"), 1);
  EXPECT_EQ(number(line, "after"), 1);
}

TEST_F(BlockTest, AnswersWhatItCannotDo) {
  const std::string output =
      output_of({.guest = "virtio_blk", .drives = {drive("scratch", make_disk())}});
  EXPECT_EQ(number(line_with(output, "beyond "), "result"), 1) << "VIRTIO_BLK_S_IOERR";
  EXPECT_EQ(number(line_with(output, "unknown "), "result"), 2) << "VIRTIO_BLK_S_UNSUPP";
}

TEST_F(BlockTest, ReadOnlyDriveIsNotWritten) {
  const std::string output =
      output_of({.guest = "virtio_blk",
                 .drives = {drive("scratch", make_disk(), R"(, "is_read_only": true)")}});
  EXPECT_NE(number(line_with(output, "magic="), "features") & 1ULL << 5, 0) << "VIRTIO_BLK_F_RO";
  expect_request(output, "read", 0, kSector + 1);
  EXPECT_EQ(number(line_with(output, "write "), "result"), 1) << "VIRTIO_BLK_S_IOERR";
  EXPECT_EQ(disk_text(kSector, 16), std::string(16, '\0'));
}

TEST_F(BlockTest, IoUringServesADriverAsWell) {
  const std::string output =
      output_of({.guest = "virtio_blk",
                 .drives = {drive("scratch", make_disk(),
                                  R"(, "io_engine": "Async", "cache_type": "Writeback")")}});
  expect_request(output, "read", 0, kSector + 1);
  expect_request(output, "write", 0, 1);
  expect_request(output, "flush", 0, 1);
  EXPECT_TRUE(output.contains("\ndata=written by guest\n")) << output;
  EXPECT_EQ(disk_text(kSector, 16), "written by guest");
}

TEST_F(BlockTest, WithoutADriveThereIsNoDevice) {
  EXPECT_EQ(output_of({.guest = "virtio_blk"}), "no device\n");
}

}  // namespace
}  // namespace mote::bare

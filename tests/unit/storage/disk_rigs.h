// Ways to make a disk over the same bytes, and to look at what it holds without it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/uio.h>

#include <filesystem>
#include <memory>
#include <string>

#include "storage/bounce_disk.h"
#include "storage/disk.h"
#include "storage/file_disk.h"
#include "storage/overlay/disk.h"
#include "storage/qcow2/disk.h"
#include "storage/qcow2/support.h"
#include "storage/raw_disk.h"
#include "storage/temp_file.h"
#include "storage/uring_disk.h"

namespace mote::storage::test {

inline constexpr std::uint64_t kSectors = 4096;

inline std::string pattern() {
  std::string bytes(kSectors * kSectorSize, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 512);
  return bytes;
}

// Whether a rig's disk reads at once what was just read: with a filesystem that tells what is at
// hand, wherever, or not at all.
enum class AtHand { kWhereTold, kAlways, kNever };
inline bool tells_what_is_at_hand() {
  const TempFile file("told?");
  const UniqueFd fd(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
  char first = 0;
  const iovec buffer{&first, 1};
  return ::preadv2(fd.get(), &buffer, 1, 0, RWF_NOWAIT) == 1;
}

struct FileRig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk = std::move(*FileDisk::open(file.path(), Access::kReadWrite));
};
struct ReadOnlyFileRig {
  static constexpr bool kWritable = false;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk = std::move(*FileDisk::open(file.path(), Access::kReadOnly));
};
struct ReadOnlyDiskRig {
  static constexpr bool kWritable = false;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk =
      std::make_unique<ReadOnlyDisk>(std::move(*FileDisk::open(file.path(), Access::kReadWrite)));
};
struct ForwardingRig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk =
      std::make_unique<ForwardingDisk>(std::move(*FileDisk::open(file.path(), Access::kReadWrite)));
};

// Every operation goes through the ring, wherever the file is.
inline std::unique_ptr<Disk> open_uring(const std::string& path, Access access, EventLoop& loop) {
  auto file = RawFile::open(path, access, Cache::kBuffered);
  file->in_memory = false;
  return std::move(*UringDisk::create(std::move(*file), loop));
}

struct UringRig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk = open_uring(file.path(), Access::kReadWrite, *loop);
};
struct ReadOnlyUringRig {
  static constexpr bool kWritable = false;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk = open_uring(file.path(), Access::kReadOnly, *loop);
};
struct InMemoryUringRig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kAlways;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  TempFile file{pattern(), "/dev/shm/"};
  std::unique_ptr<Disk> disk =
      std::move(*open_raw_disk(file.path(), {.engine = Engine::kUring}, *loop));
};

// Fails what is not aligned, as direct I/O does.
class StrictDisk final : public ForwardingDisk {
 public:
  using ForwardingDisk::ForwardingDisk;

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override {
    for (const iovec& buffer : request.buffers) {
      if (reinterpret_cast<std::uintptr_t>(buffer.iov_base) % 4096 != 0 ||
          buffer.iov_len % 512 != 0) {
        return done(std::move(request), fail(ErrorKind::kIo, "not aligned"));
      }
    }
    ForwardingDisk::start(std::move(request), length, std::move(done));
  }
};
struct BounceRig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kNever;
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk = std::make_unique<BounceDisk>(
      std::make_unique<StrictDisk>(std::move(*FileDisk::open(file.path(), Access::kReadWrite))),
      4096);
};
struct BounceUringRig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kNever;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  TempFile file{pattern()};
  std::unique_ptr<Disk> disk = std::make_unique<BounceDisk>(
      std::make_unique<StrictDisk>(open_uring(file.path(), Access::kReadWrite, *loop)), 4096);
};

// The same bytes in an image.
struct ImageFile {
  explicit ImageFile(const qcow2::test::Shape& shape) : file(qcow2::test::empty_image(shape)) {
    auto disk = std::move(*qcow2::Qcow2Disk::open(file.path(), {}));
    std::string bytes = pattern();
    EXPECT_TRUE(qcow2::test::submit(*disk, Op::kWrite, 0, bytes));
  }
  const std::string& path() const { return file.path(); }
  std::string content() const {
    auto disk = std::move(*qcow2::Qcow2Disk::open(path(), {.access = Access::kReadOnly}));
    return qcow2::test::read_all(*disk);
  }
  TempFile file;
};
struct Qcow2Rig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kNever;
  ImageFile file{{.size = kSectors * kSectorSize}};
  std::unique_ptr<Disk> disk = std::move(*qcow2::Qcow2Disk::open(file.path(), {}));
};
struct UringQcow2Rig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kWhereTold;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  ImageFile file{{.size = kSectors * kSectorSize}};
  std::unique_ptr<Disk> disk =
      std::move(*qcow2::Qcow2Disk::open(file.path(), {.engine = Engine::kUring}, loop.get()));
};
struct SmallClustersQcow2Rig {
  static constexpr bool kWritable = true;
  static constexpr AtHand kAtHand = AtHand::kNever;
  ImageFile file{{.size = kSectors * kSectorSize, .version = 2, .cluster_bits = 9}};
  std::unique_ptr<Disk> disk = std::move(*qcow2::Qcow2Disk::open(file.path(), {}));
};
struct ReadOnlyQcow2Rig {
  static constexpr bool kWritable = false;
  static constexpr AtHand kAtHand = AtHand::kNever;
  ImageFile file{{.size = kSectors * kSectorSize}};
  std::unique_ptr<Disk> disk =
      std::move(*qcow2::Qcow2Disk::open(file.path(), {.access = Access::kReadOnly}));
};

// The same bytes below a layer.
struct LayerFile {
  LayerFile() { EXPECT_TRUE(overlay::create_layer(layer, {base.path()})); }
  ~LayerFile() { std::filesystem::remove(layer); }
  std::string content() const {
    auto disk = std::move(
        *overlay::OverlayDisk::open(layer, {.below = {base.path()}, .access = Access::kReadOnly}));
    return qcow2::test::read_all(*disk);
  }
  TempFile base{pattern()};
  std::string layer = base.path() + ".layer";
};
template <Access kAccess, Engine kEngine, overlay::MapWrites kWrites>
struct OverlayRig {
  static constexpr bool kWritable = kAccess == Access::kReadWrite;
  static constexpr AtHand kAtHand = kEngine == Engine::kUring ? AtHand::kWhereTold : AtHand::kNever;
  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  LayerFile file;
  std::unique_ptr<Disk> disk = open();

  std::unique_ptr<Disk> open() {
    return std::move(*overlay::OverlayDisk::open(
        file.layer,
        {.below = {file.base.path()}, .access = kAccess, .map_writes = kWrites, .engine = kEngine},
        loop.get()));
  }
};
using overlay::MapWrites;

}  // namespace mote::storage::test

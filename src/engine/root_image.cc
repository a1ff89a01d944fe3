#include "engine/root_image.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

namespace mote::engine {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kExt4MagicOffset = 0x438;  // 1024 + s_magic
constexpr std::uint64_t kErofsMagicOffset = 1024;
constexpr std::uint32_t kErofsMagic = 0xe0f5e1e2;
constexpr std::uint32_t kSquashfsMagic = 0x73717368;  // "hsqs"

template <typename T>
Result<std::optional<T>> value_at(int fd, std::uint64_t offset) {
  T value{};
  MOTE_TRY(const std::size_t count,
           read_at(fd, std::as_writable_bytes(std::span(&value, 1)), offset));
  return count == sizeof value ? std::optional<T>(value) : std::nullopt;
}

// A file without a name on the disk of TMPDIR, which is gone when nobody has it open any more.
Result<UniqueFd> make_nameless_file() {
  const char* given = ::secure_getenv("TMPDIR");
  const std::string directory = given != nullptr && *given != '\0' ? given : "/tmp";
  UniqueFd fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd) return fd;
  if (errno != EOPNOTSUPP && errno != EISDIR) {
    return fail_errno(errno, "make a temporary file in '{}' (TMPDIR)", directory);
  }
  // A file system that cannot: with a name, for a moment.
  std::string name = directory + "/mote-XXXXXX";
  fd.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) return fail_errno(errno, "make a temporary file in '{}' (TMPDIR)", directory);
  ::unlink(name.c_str());
  return fd;
}

// Room for ext4: the files' blocks and inodes with something to spare. mke2fs leaves what is unused
// a hole.
struct Extent {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};
Extent extent_of(const std::string& directory) {
  Extent total;
  std::error_code error;
  auto entry = std::filesystem::recursive_directory_iterator(
      directory, std::filesystem::directory_options::skip_permission_denied, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator();
       entry.increment(error)) {
    ++total.files;
    std::error_code gone;
    const bool regular = entry->is_regular_file(gone) && !entry->is_symlink(gone);
    const std::uint64_t size = regular ? entry->file_size(gone) : 0;
    if (!gone) total.bytes += (size + 4095) / 4096 * 4096;
  }
  return total;
}

Result<FileSystem> fill_image(const std::string& directory, const UniqueFd& image,
                              const ToolFinder& find) {
  const std::string target = fmt::format("/proc/self/fd/{}", image.get());
  const std::string erofs_tool = find("mkfs.erofs");
  if (!erofs_tool.empty()) {
    // Whoever is not root cannot have a tree that belongs to root, and means it to.
    std::vector<std::string> command{erofs_tool, "--quiet"};
    if (::geteuid() != 0) command.emplace_back("--all-root");
    command.insert(command.end(), {target, directory});
    MOTE_CHECK(run_tool(command, image));
    return FileSystem::kErofs;
  }
  const std::string ext4_tool = find("mke2fs");
  if (ext4_tool.empty()) {
    return fail(ErrorKind::kUnsupported,
                "there is neither mkfs.erofs (Debian package erofs-utils) nor mke2fs (e2fsprogs)");
  }
  const Extent extent = extent_of(directory);
  const std::uint64_t megabytes = (extent.bytes + extent.files * 512) * 5 / 4 / kMiB + 16;
  if (::ftruncate(image.get(), static_cast<off_t>(megabytes * kMiB)) != 0) {
    return fail_errno(errno, "make room for {} MiB in TMPDIR", megabytes);
  }
  MOTE_CHECK(run_tool({ext4_tool, "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N",
                       fmt::format("{}", extent.files + 64), "-d", directory, target},
                      image));
  return FileSystem::kExt4;
}

}  // namespace

const char* name_of(FileSystem kind) {
  switch (kind) {
    case FileSystem::kExt4:
      return "ext4";
    case FileSystem::kSquashfs:
      return "squashfs";
    case FileSystem::kErofs:
      return "erofs";
  }
  return "";
}

Result<FileSystem> detect_file_system(int fd, const std::string& path) {
  MOTE_TRY(const auto squashfs, value_at<std::uint32_t>(fd, 0));
  if (squashfs == kSquashfsMagic) return FileSystem::kSquashfs;
  MOTE_TRY(const auto erofs, value_at<std::uint32_t>(fd, kErofsMagicOffset));
  if (erofs == kErofsMagic) return FileSystem::kErofs;
  MOTE_TRY(const auto ext4, value_at<std::uint16_t>(fd, kExt4MagicOffset));
  if (ext4 == EXT4_SUPER_MAGIC) return FileSystem::kExt4;
  return fail(
      ErrorKind::kInvalid,
      "'{}' holds no file system that mote knows: it must be a directory, or a raw image (not a "
      "partitioned disk) of ext4, squashfs or erofs",
      path);
}

Result<RootImage> RootImage::open(const std::string& path, const ToolFinder& find) {
  // Non-blocking, as a FIFO would wait for its other end.
  MOTE_TRY(UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat about{};
  if (::fstat(fd.get(), &about) != 0) return fail_errno(errno, "'{}'", path);
  if (S_ISDIR(about.st_mode)) {
    auto made = from_directory(path, find);
    if (!made) {
      return std::unexpected(
          std::move(made.error()).within(fmt::format("make an image of '{}'", path)));
    }
    return made;
  }
  if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode)) {
    return fail(ErrorKind::kInvalid,
                "'{}' is neither a directory nor an image: it must be one of them", path);
  }
  MOTE_TRY(const FileSystem kind, detect_file_system(fd.get(), path));
  return RootImage(std::move(fd), kind);
}

Result<RootImage> RootImage::from_directory(const std::string& path, const ToolFinder& find) {
  MOTE_TRY(UniqueFd file, make_nameless_file());
  MOTE_TRY(const FileSystem kind, fill_image(path, file, find));
  return RootImage(std::move(file), kind);
}

}  // namespace mote::engine

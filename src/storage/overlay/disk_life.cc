// How a disk of layers is opened, flushed and frozen.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "storage/overlay/disk.h"

namespace mote::storage::overlay {
namespace {

Result<void> flush_directory(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  MOTE_TRY(const UniqueFd fd, open_file(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) < 0) return fail_errno(errno, "flush {}", json::quote(directory));
  return {};
}

// The file at `path` is to be called `sealed`, and the one at `fresh` as it was. Between the two
// renames there is none at `path`: a monitor that is killed there leaves `fresh`, to be renamed.
Result<void> swap_files(const std::string& path, const std::string& fresh,
                        const std::string& sealed) {
  struct stat there{};
  if (look_at(sealed, there, AT_SYMLINK_NOFOLLOW)) {
    return fail(ErrorKind::kState, "there is something at {}, where the sealed layer was to be",
                json::quote(sealed));
  }
  if (::rename(path.c_str(), sealed.c_str()) != 0) {
    return fail_errno(errno, "give the layer {} the name {}", json::quote(path),
                      json::quote(sealed));
  }
  if (::rename(fresh.c_str(), path.c_str()) == 0) return {};
  const int error = errno;
  if (::rename(sealed.c_str(), path.c_str()) != 0) {
    log::error("layer {}: it is called {} now", json::quote(path), json::quote(sealed));
  }
  return fail_errno(error, "put a new layer at {}", json::quote(path));
}

}  // namespace

OverlayDisk::OverlayDisk(Stack stack, Access access, std::string identity)
    : stack_(std::move(stack)),
      access_(access),
      identity_(std::move(identity)),
      size_(stack_.top().header().size) {
  traits_.physical_block_size = 4096;
  traits_.can_discard = access == Access::kReadWrite;
  traits_.discard_granularity = static_cast<std::uint32_t>(cluster_size());
}

OverlayDisk::~OverlayDisk() {
  drain();
  if (read_only() || map_writes_ == MapWrites::kThrough) return;
  // What was written and not flushed stays, as with a raw disk.
  if (auto done = stack_.top().flush(); !done) {
    log::error("layer {}: what was not flushed is lost: {}", json::quote(path_),
               done.error().text());
  }
}

Result<std::unique_ptr<OverlayDisk>> OverlayDisk::open(const std::string& path,
                                                       const Options& options, EventLoop* loop) {
  MOTE_TRY(OpenedStack opened, open_stack(path, options.below, options.access, options.map_writes));
  auto disk = std::make_unique<OverlayDisk>(std::move(opened.stack), options.access,
                                            std::move(opened.identity));
  disk->path_ = path;
  disk->fd_ = opened.fd;
  disk->map_writes_ = options.map_writes;
  if (options.engine == Engine::kSync) return disk;
  RawFile top;
  top.path = path;
  top.access = options.access;
  top.size = disk->size_;
  top.fd.reset(::fcntl(opened.fd, F_DUPFD_CLOEXEC, 0));
  if (!top.fd) return fail_errno(errno, "duplicate the descriptor of {}", json::quote(path));
  top.in_memory = is_in_memory(opened.fd);
  MOTE_TRY(disk->ring_, UringDisk::create(std::move(top), *loop, options.ring));
  for (std::size_t i = 0; i + 1 < opened.fds.size(); ++i) {
    const int fd = opened.fds[i];
    unsigned number = 0;  // of an image that is not there, and is not asked
    if (fd >= 0) {
      MOTE_TRY(number, disk->ring_->add_file(fd, is_in_memory(fd)));
    }
    disk->ring_files_.push_back(number);
  }
  disk->ring_files_.push_back(0);
  return disk;
}

// Flush
// ------------------------------------------------------------------------------------------------

void OverlayDisk::flush(Flush asked) {
  if (!ring_) {
    Result<void> result = read_only() ? Result<void>{} : stack_.top().flush();
    asked.done(std::move(asked.request), std::move(result));
    return;
  }
  if (!flushes_.empty()) {
    // What it is to find on stable storage may be what the one under way still has to write.
    waiting_flushes_.push_back(std::move(asked));
    return;
  }
  flushes_.push_back(std::move(asked));
  flush_all();
}

// First the data, then the map that says it is there.
void OverlayDisk::flush_all() {
  changes_ = stack_.top().take_changes();
  const std::size_t top = stack_.layers();
  pass_on(top, 0, {.op = Op::kFlush, .buffers = {}}, 0,
          [this, top](const DiskRequest&, Result<void> result) {
            if (!result || changes_.empty()) return flushed(std::move(result));
            if (auto written = stack_.top().write(changes_); !written) {
              return flushed(std::move(written));
            }
            pass_on(
                top, 0, {.op = Op::kFlush, .buffers = {}}, 0,
                [this](const DiskRequest&, Result<void> second) { flushed(std::move(second)); });
          });
}

void OverlayDisk::flushed(Result<void> result) {
  stack_.top().settle(changes_, result.has_value());
  changes_ = {};
  std::vector<Flush> done = std::exchange(flushes_, std::exchange(waiting_flushes_, {}));
  if (!flushes_.empty()) flush_all();
  for (Flush& flush : done) {
    Result<void> answer = result ? Result<void>{} : std::unexpected(Error(result.error()));
    flush.done(std::move(flush.request), std::move(answer));
  }
}

// Freeze
// ------------------------------------------------------------------------------------------------

Result<bool> OverlayDisk::freeze(const std::string& sealed_path) {
  if (read_only()) return fail(ErrorKind::kPermission, "a layer that is read-only is not sealed");
  if (path_.empty()) return fail(ErrorKind::kState, "a disk without a path has no layer to seal");
  if (stack_.layers() + 1 > kMostBelow) {
    return fail(ErrorKind::kResource,
                "the drive has {} layers, and no more can lie on one another: make one image of "
                "them with `mote layer commit`",
                stack_.layers());
  }
  drain();
  const Header& header = stack_.top().header();
  // What is larger than all below is not there without it.
  if (header.use == Use::kFresh && header.below.kind != Below::kNothing &&
      header.below.size == header.size) {
    return false;
  }
  const std::string fresh = path_ + ".new";
  ::unlink(fresh.c_str());  // of a monitor that was killed here
  MOTE_TRY(auto file, HostFile::create(fresh));
  struct Guard {
    std::string path;
    ~Guard() {
      if (!path.empty()) ::unlink(path.c_str());
    }
  } guard{.path = fresh};
  MOTE_CHECK(Layer::create(*file, header.size, header.cluster_bits, header.identity()));
  MOTE_CHECK(file->sync());
  const int fd = file->fd();
  if (!lock_file(fd, FileLock::kAlone)) return fail_errno(errno, "lock {}", json::quote(fresh));
  MOTE_TRY(auto layer, Layer::open(std::move(file), access_, map_writes_));
  MOTE_CHECK(add_top_to_ring(fd));
  auto swapped = stack_.top().seal();
  if (swapped) swapped = swap_files(path_, fresh, sealed_path);
  if (!swapped) {
    if (ring_) ring_files_.pop_back();
    MOTE_CHECK(stack_.top().unseal());
    return detail::take_error(swapped);
  }
  guard.path.clear();
  lock_file(fd_, FileLock::kShared);
  fd_ = fd;
  MOTE_CHECK(stack_.push(std::move(layer)));
  MOTE_CHECK(flush_directory(path_));
  return true;
}

std::string OverlayDisk::lies_on() const {
  const Identity& below = stack_.top().header().below;
  std::string text = fmt::format("{}:{}:", static_cast<unsigned>(below.kind), below.size);
  for (const std::uint8_t byte : below.id) text += fmt::format("{:02x}", byte);
  return text;
}

Result<void> OverlayDisk::add_top_to_ring(int fd) {
  if (!ring_) return {};
  MOTE_TRY(const unsigned number, ring_->add_file(fd, is_in_memory(fd)));
  ring_files_.push_back(number);
  return {};
}

}  // namespace mote::storage::overlay

#include "snapshot/working_set.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checksum.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "snapshot/state_file.h"

namespace mote::snapshot {
namespace {

using memory::kPageSize;

constexpr std::string_view kMagic = "mote\x1a\npages\n";
// Pages that are read along rather than by a read of their own.
constexpr std::uint64_t kGap = 16;
// When is looked, in milliseconds after the look before: what is touched early is told apart.
constexpr std::array kLooks{10, 10, 20, 40, 80, 160, 320, 640, 1280};

// As it lies in the file, little-endian; the runs follow.
struct RawHeader {
  char magic[12];
  std::uint32_t count;
  std::byte id[16];
  std::uint64_t memory_size;
  std::uint64_t changed_ns;
  std::uint64_t sum;  // checksum() of the runs
};
static_assert(kMagic.size() == sizeof(RawHeader::magic) && sizeof(PageRun) == 16);

}  // namespace

Result<WorkingSetStamp> stamp_of(const std::array<std::byte, 16>& id, int memory_file) {
  struct stat facts{};
  if (!look_at(memory_file, facts)) return fail_errno(errno, "look at the memory file");
  return WorkingSetStamp{
      .id = id,
      .memory_size = static_cast<std::uint64_t>(facts.st_size),
      .changed_ns = static_cast<std::uint64_t>(facts.st_mtim.tv_sec) * 1'000'000'000 +
                    static_cast<std::uint64_t>(facts.st_mtim.tv_nsec)};
}

std::vector<std::byte> make_working_set(const WorkingSetStamp& stamp,
                                        std::span<const PageRun> runs) {
  runs = runs.first(std::min(runs.size(), kMaxRuns));
  RawHeader raw{};
  std::memcpy(raw.magic, kMagic.data(), kMagic.size());
  raw.count = static_cast<std::uint32_t>(runs.size());
  std::ranges::copy(stamp.id, raw.id);
  raw.memory_size = stamp.memory_size;
  raw.changed_ns = stamp.changed_ns;
  raw.sum = checksum(std::as_bytes(runs));
  const auto head = std::as_bytes(std::span(&raw, 1));
  const auto body = std::as_bytes(runs);
  std::vector<std::byte> bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

Result<std::vector<PageRun>> read_working_set(std::span<const std::byte> bytes,
                                              const WorkingSetStamp& stamp) {
  RawHeader raw{};
  if (bytes.size() < sizeof raw) return fail(ErrorKind::kInvalid, "it is too short");
  std::memcpy(&raw, bytes.data(), sizeof raw);
  const auto body = bytes.subspan(sizeof raw);
  if (std::string_view(raw.magic, kMagic.size()) != kMagic || raw.count > kMaxRuns ||
      body.size() != raw.count * sizeof(PageRun) || checksum(body) != raw.sum) {
    return fail(ErrorKind::kInvalid, "it is no working set, or damaged");
  }
  WorkingSetStamp found{.memory_size = raw.memory_size, .changed_ns = raw.changed_ns};
  std::ranges::copy(raw.id, found.id.begin());
  if (found != stamp) return fail(ErrorKind::kInvalid, "it is of another snapshot");
  std::vector<PageRun> runs(raw.count);
  if (!runs.empty()) std::memcpy(runs.data(), body.data(), body.size());
  for (const PageRun& run : runs) {
    if (run.size == 0 || run.offset % kPageSize != 0 || run.size % kPageSize != 0 ||
        run.offset > stamp.memory_size || run.size > stamp.memory_size - run.offset) {
      return fail(ErrorKind::kInvalid, "{} bytes at {} are no pages of the memory file", run.size,
                  run.offset);
    }
  }
  return runs;
}

std::vector<PageRun> runs_of(std::span<const std::uint64_t> words) {
  std::vector<PageRun> runs;
  for (std::uint64_t page = 0; page < words.size() * 64; ++page) {
    if (words[page / 64] == 0) {
      page |= 63;
      continue;
    }
    if ((words[page / 64] >> (page % 64) & 1) == 0) continue;
    const std::uint64_t offset = page * kPageSize;
    if (!runs.empty() && offset - (runs.back().offset + runs.back().size) <= kGap * kPageSize) {
      runs.back().size = offset + kPageSize - runs.back().offset;
    } else {
      runs.push_back({.offset = offset, .size = kPageSize});
    }
  }
  return runs;
}

WorkingSet::WorkingSet(const memory::GuestMemory& memory, UniqueFd fd)
    : regions_(memory.regions()), fd_(std::move(fd)) {}

WorkingSet::~WorkingSet() {
  if (stop_) signal_eventfd(stop_.get());
  worker_.reset();
}

void WorkingSet::begin() const { signal_eventfd(begin_.get()); }

Result<std::shared_ptr<WorkingSet>> WorkingSet::attach(EventLoop& loop,
                                                       const memory::GuestMemory& memory,
                                                       const std::string& path, UniqueFd fd,
                                                       const std::array<std::byte, 16>& id) {
  MOTE_TRY(const WorkingSetStamp stamp, stamp_of(id, fd.get()));
  std::shared_ptr<WorkingSet> made(new WorkingSet(memory, std::move(fd)));
  MOTE_TRY(made->begin_, make_eventfd());
  MOTE_TRY(made->stop_, make_eventfd());
  const std::string name = path + ".ws";
  Result<std::vector<PageRun>> known = std::vector<PageRun>{};
  if (const auto bytes = read_bytes_of(name); !bytes) {
    known = std::unexpected(bytes.error());
  } else {
    known = read_working_set(std::as_bytes(std::span(*bytes)), stamp);
  }
  if (known) {
    MOTE_TRY(made->worker_,
             Worker::start(ThreadKind::kWorker, [self = made.get(), runs = std::move(*known)] {
               self->bring_in(runs);
             }));
    return made;
  }
  log::info("{}: {}; it is made anew", json::quote(name), known.error().text());
  auto file = NewFile::create(name);
  if (!file) {
    log::warning("the working set is not noted: {}", file.error().text());
    return made;
  }
  made->file_ = std::make_unique<NewFile>(std::move(*file));
  MOTE_TRY(made->worker_, Worker::start(ThreadKind::kWorker, [self = made.get(), &loop, stamp] {
             self->note(loop, stamp);
           }));
  return made;
}

// The host reads all of it at once, the earliest first; then each run is mapped as it arrives.
void WorkingSet::bring_in(std::span<const PageRun> runs) const {
  for (const PageRun& run : runs) {
    if (!wait(stop_.get(), 0)) return;
    ::posix_fadvise(fd_.get(), static_cast<off_t>(run.offset), static_cast<off_t>(run.size),
                    POSIX_FADV_WILLNEED);
  }
  for (const PageRun& run : runs) {
    if (!wait(stop_.get(), 0)) return;
    for (const memory::RegionView& region : regions_) {
      const std::uint64_t begin = std::max(run.offset, region.file_offset);
      const std::uint64_t end =
          std::min(run.offset + run.size, region.file_offset + region.range.size);
      if (begin >= end) continue;
      auto* const host =
          reinterpret_cast<std::byte*>(region.host_address) + (begin - region.file_offset);
      // A kernel that does not know it leaves the guest to touch them.
      ::madvise(host, end - begin, MADV_POPULATE_READ);
    }
  }
}

bool WorkingSet::wait(int fd, int milliseconds) const {
  std::array<pollfd, 2> events{pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = fd, .events = POLLIN, .revents = 0}};
  ::poll(events.data(), events.size(), milliseconds);
  return events[0].revents == 0;
}

void WorkingSet::note(EventLoop& loop, const WorkingSetStamp& stamp) {
  const memory::RegionView& last = regions_.back();
  const std::uint64_t size = last.file_offset + last.range.size;
  std::vector<std::uint64_t> seen((size / kPageSize + 63) / 64);
  std::vector<std::uint64_t> now(seen.size());
  std::vector<PageRun> runs;
  const auto look = [&] {
    for (const memory::RegionView& region : regions_) {
      const iovec pages{.iov_base = reinterpret_cast<void*>(region.host_address),
                        .iov_len = region.range.size};
      if (!page_table_.present_pages(pages, region.file_offset / kPageSize, now)) return false;
    }
    return true;
  };
  if (!wait(begin_.get(), -1)) return;
  for (const int delay : kLooks) {
    if (!wait(stop_.get(), delay)) return;
    std::ranges::fill(now, 0);
    if (!look()) break;
    for (std::size_t i = 0; i < now.size(); ++i) {
      now[i] &= ~seen[i];
      seen[i] |= now[i];
    }
    const auto fresh = runs_of(now);
    runs.insert(runs.end(), fresh.begin(), fresh.end());
  }
  loop.post([this, alive = std::weak_ptr<void>(alive_), bytes = make_working_set(stamp, runs),
             any = !runs.empty()] {
    if (alive.expired()) return;
    const std::unique_ptr<NewFile> file = std::move(file_);
    if (!any) return log::warning("the working set is not noted: this process cannot tell it");
    auto done = write_at(file->fd(), bytes, 0);
    if (done) done = file->commit();
    if (!done) log::warning("the working set is not noted: {}", done.error().text());
  });
}

}  // namespace mote::snapshot

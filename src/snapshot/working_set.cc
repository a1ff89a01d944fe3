#include "snapshot/working_set.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
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

constexpr std::string_view kMagic = "mote\x1a\ntouch\n";
// Pages that are read along rather than by a read of their own.
constexpr std::uint64_t kGap = 2;
// What is asked for before it is mapped: enough to keep a disk busy, and little enough that what
// the guest touches before its turn does not wait long behind it.
constexpr std::uint64_t kAhead = 2 << 20;
// When is looked, in milliseconds after the look before: what is touched early is told apart.
constexpr std::array kLooks{10, 10, 20, 40, 80, 160, 320, 640, 1280};
// Then at the last distance, so often at most, until this many looks in a row found fewer pages
// than that: a guest that has still to read its way to its first answer is not done.
constexpr std::size_t kMoreLooks = 44;
constexpr std::size_t kLooksAtRest = 2;
constexpr std::uint64_t kStillComing = 16;

// As it lies in the file, little-endian; the runs follow.
struct RawHeader {
  char magic[12];
  std::uint32_t count;
  std::byte id[16];
  std::uint64_t memory_size;
  std::uint64_t changed_ns;
  std::uint64_t sum;  // checksum() of the runs
};
static_assert(kMagic.size() == sizeof(RawHeader::magic));
struct RawRun {
  std::uint64_t offset;
  std::uint64_t size;  // of whole pages, or kWritten more
};
constexpr std::uint64_t kWritten = 1;

// The part of a file that may be in the page cache before, where that is what is looked at.
constexpr std::uint64_t kMostCached = 8;
constexpr std::size_t kAskedAtOnce = 4096;  // pages

iovec pages_of(const memory::RegionView& region) {
  return {.iov_base = reinterpret_cast<void*>(region.host_address), .iov_len = region.range.size};
}

std::uint64_t marked_in(std::span<const std::uint64_t> words) {
  std::uint64_t count = 0;
  for (const std::uint64_t word : words) count += static_cast<std::uint64_t>(std::popcount(word));
  return count;
}

// As PageTable::present_pages(), of the page cache (mincore(2)).
bool cached_pages(const iovec& pages, std::uint64_t first, std::span<std::uint64_t> words) {
  std::array<unsigned char, kAskedAtOnce> cached{};
  auto* const host = static_cast<std::byte*>(pages.iov_base);
  for (std::size_t done = 0; done < pages.iov_len; done += kAskedAtOnce * kPageSize) {
    const std::size_t length = std::min(kAskedAtOnce * kPageSize, pages.iov_len - done);
    if (::mincore(host + done, length, cached.data()) < 0) return false;
    for (std::size_t i = 0; i < length / kPageSize; ++i) {
      const std::uint64_t page = first + done / kPageSize + i;
      if ((cached[i] & 1) != 0) words[page / 64] |= std::uint64_t{1} << (page % 64);
    }
  }
  return true;
}

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
  std::vector<RawRun> raw_runs;
  for (const PageRun& run : runs.first(std::min(runs.size(), kMaxRuns))) {
    raw_runs.push_back({.offset = run.offset, .size = run.size | (run.written ? kWritten : 0)});
  }
  RawHeader raw{};
  std::memcpy(raw.magic, kMagic.data(), kMagic.size());
  raw.count = static_cast<std::uint32_t>(raw_runs.size());
  std::ranges::copy(stamp.id, raw.id);
  raw.memory_size = stamp.memory_size;
  raw.changed_ns = stamp.changed_ns;
  const auto body = std::as_bytes(std::span(raw_runs));
  raw.sum = checksum(body);
  const auto head = std::as_bytes(std::span(&raw, 1));
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
      body.size() != raw.count * sizeof(RawRun) || checksum(body) != raw.sum) {
    return fail(ErrorKind::kInvalid, "it is no working set, or damaged");
  }
  WorkingSetStamp found{.memory_size = raw.memory_size, .changed_ns = raw.changed_ns};
  std::ranges::copy(raw.id, found.id.begin());
  if (found != stamp) return fail(ErrorKind::kInvalid, "it is of another snapshot");
  std::vector<RawRun> raw_runs(raw.count);
  if (!raw_runs.empty()) std::memcpy(raw_runs.data(), body.data(), body.size());
  std::vector<PageRun> runs;
  for (const RawRun& raw_run : raw_runs) {
    const PageRun run{.offset = raw_run.offset,
                      .size = raw_run.size & ~kWritten,
                      .written = (raw_run.size & kWritten) != 0};
    if (run.size == 0 || run.offset % kPageSize != 0 || run.size % kPageSize != 0 ||
        run.offset > stamp.memory_size || run.size > stamp.memory_size - run.offset) {
      return fail(ErrorKind::kInvalid, "{} bytes at {} are no pages of the memory file", run.size,
                  run.offset);
    }
    runs.push_back(run);
  }
  return runs;
}

std::vector<PageRun> runs_of(std::span<const std::uint64_t> words, std::uint64_t gap) {
  std::vector<PageRun> runs;
  for (std::uint64_t page = 0; page < words.size() * 64; ++page) {
    if (words[page / 64] == 0) {
      page |= 63;
      continue;
    }
    if ((words[page / 64] >> (page % 64) & 1) == 0) continue;
    const std::uint64_t offset = page * kPageSize;
    if (!runs.empty() && offset - (runs.back().offset + runs.back().size) <= gap * kPageSize) {
      runs.back().size = offset + kPageSize - runs.back().offset;
    } else {
      runs.push_back({.offset = offset, .size = kPageSize});
    }
  }
  return runs;
}

void add_runs(std::span<const std::uint64_t> touched, std::span<const std::uint64_t> written,
              std::vector<PageRun>& runs) {
  std::vector<std::uint64_t> both(touched.begin(), touched.end());
  for (std::size_t i = 0; i < both.size(); ++i) both[i] &= written[i];
  const std::vector<PageRun> own = runs_of(both, 0);
  auto next = own.begin();
  for (const PageRun& run : runs_of(touched, kGap)) {
    for (; next != own.end() && next->offset < run.offset + run.size; ++next) {
      runs.push_back({.offset = next->offset, .size = next->size, .written = true});
    }
    runs.push_back(run);
  }
}

WorkingSet::WorkingSet(const memory::GuestMemory& memory, UniqueFd fd, memory::PageTable table)
    : regions_(memory.regions()), page_table_(std::move(table)), fd_(std::move(fd)) {}

WorkingSet::~WorkingSet() {
  if (stop_) signal_eventfd(stop_.get());
  worker_.reset();
}

void WorkingSet::begin() const { signal_eventfd(begin_.get()); }

void WorkingSet::take_single_pages(bool single) const {
  for (const memory::RegionView& region : regions_) {
    const iovec pages = pages_of(region);
    ::madvise(pages.iov_base, pages.iov_len, single ? MADV_RANDOM : MADV_NORMAL);
  }
}

// What is in the page cache is mapped around each page that is touched, and read around it where it
// is not; so it leaves the cache, and comes page by page. Where another process maps it, it stays.
void WorkingSet::tell_apart() const {
  take_single_pages(true);
  ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
}

Result<std::shared_ptr<WorkingSet>> WorkingSet::attach(EventLoop& loop,
                                                       const memory::GuestMemory& memory,
                                                       const std::string& path, UniqueFd fd,
                                                       const std::array<std::byte, 16>& id,
                                                       memory::PageTable table) {
  MOTE_TRY(const WorkingSetStamp stamp, stamp_of(id, fd.get()));
  std::shared_ptr<WorkingSet> made(new WorkingSet(memory, std::move(fd), std::move(table)));
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
  // Nobody asked for this file by its name: where that leads elsewhere, what is there is another's.
  if (file && file->target() != name) file = fail(ErrorKind::kInvalid, "its name is a link");
  if (!file) {
    log::warning("the working set is not noted: {}", file.error().text());
    return made;
  }
  made->file_ = std::make_unique<NewFile>(std::move(*file));
  MOTE_TRY(made->worker_,
           Worker::start(ThreadKind::kWorker, [self = made.get()] { self->tell_apart(); }));
  made->worker_->wait();  // before the guest touches any
  made->worker_->run([self = made.get(), &loop, stamp] { self->note(loop, stamp); });
  return made;
}

// The host reads some of it at once, the earliest first; each run is mapped as it arrives.
void WorkingSet::bring_in(std::span<const PageRun> runs) const {
  take_single_pages(true);
  std::uint64_t asked = 0;
  std::uint64_t mapped = 0;
  auto next = runs.begin();
  for (const PageRun& run : runs) {
    for (; next != runs.end() && asked < mapped + kAhead; ++next) {
      if (!wait(stop_.get(), 0)) return;
      if (next->written) continue;
      ::posix_fadvise(fd_.get(), static_cast<off_t>(next->offset), static_cast<off_t>(next->size),
                      POSIX_FADV_WILLNEED);
      asked += next->size;
    }
    if (!wait(stop_.get(), 0)) return;
    map_in(run);
    if (!run.written) mapped += run.size;
  }
  take_single_pages(false);
}

// A page that is to be written is copied here: else the guest would leave for it twice, to read it
// and to write it, and wait for the copy.
void WorkingSet::map_in(const PageRun& run) const {
  for (const memory::RegionView& region : regions_) {
    const std::uint64_t begin = std::max(run.offset, region.file_offset);
    const std::uint64_t end =
        std::min(run.offset + run.size, region.file_offset + region.range.size);
    if (begin >= end) continue;
    auto* const host =
        reinterpret_cast<std::byte*>(region.host_address) + (begin - region.file_offset);
    // A kernel that does not know it leaves the guest to touch them.
    ::madvise(host, end - begin, run.written ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
  }
}

bool WorkingSet::wait(int fd, int milliseconds) const {
  std::array<pollfd, 2> events{pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = fd, .events = POLLIN, .revents = 0}};
  ::poll(events.data(), events.size(), milliseconds);
  return events[0].revents == 0;
}

void WorkingSet::look_for_own(std::span<std::uint64_t> words) const {
  for (const memory::RegionView& region : regions_) {
    page_table_.own_pages(pages_of(region), region.file_offset / kPageSize, words);
  }
}

bool WorkingSet::look(std::span<std::uint64_t> words) const {
  return std::ranges::all_of(regions_, [&](const memory::RegionView& region) {
    const iovec pages = pages_of(region);
    const std::uint64_t first = region.file_offset / kPageSize;
    return page_table_.can_tell() ? page_table_.present_pages(pages, first, words)
                                  : cached_pages(pages, first, words);
  });
}

Result<std::vector<PageRun>> WorkingSet::observe() const {
  const memory::RegionView& last = regions_.back();
  const std::uint64_t pages = (last.file_offset + last.range.size) / kPageSize;
  using Words = std::vector<std::uint64_t>;
  Words seen((pages + 63) / 64);
  if (!page_table_.can_tell()) {
    // What was in the page cache before is not told from what is touched.
    if (look(seen) && marked_in(seen) > pages / kMostCached) {
      return fail(ErrorKind::kUnsupported,
                  "this process has no page table to look at (/proc/self/pagemap), and too much of "
                  "the memory file is in the page cache to see what comes there");
    }
  }
  std::vector<Words> fresh;  // by each look
  if (!wait(begin_.get(), -1)) return fail(ErrorKind::kState, "the end");
  std::size_t at_rest = 0;
  for (std::size_t looks = 0; looks < kLooks.size() + kMoreLooks; ++looks) {
    if (looks >= kLooks.size() && at_rest >= kLooksAtRest) break;
    const int delay = kLooks.at(std::min(looks, kLooks.size() - 1));
    if (!wait(stop_.get(), delay)) return fail(ErrorKind::kState, "the end");
    Words now(seen.size());
    if (!look(now)) return fail(ErrorKind::kUnsupported, "this process cannot tell it");
    for (std::size_t i = 0; i < now.size(); ++i) {
      now[i] &= ~seen[i];
      seen[i] |= now[i];
    }
    at_rest = marked_in(now) < kStillComing ? at_rest + 1 : 0;
    fresh.push_back(std::move(now));
  }
  Words written(seen.size());
  look_for_own(written);
  std::vector<PageRun> runs;
  for (const Words& touched : fresh) add_runs(touched, written, runs);
  return runs;
}

void WorkingSet::note(EventLoop& loop, const WorkingSetStamp& stamp) {
  auto runs = observe();
  take_single_pages(false);
  if (!runs && runs.error().kind() == ErrorKind::kState) return;
  loop.post([this, alive = std::weak_ptr<void>(alive_), stamp, runs = std::move(runs)] {
    if (alive.expired()) return;
    const std::unique_ptr<NewFile> file = std::move(file_);
    Result<void> done;
    if (!runs) {
      done = std::unexpected(runs.error());
    } else {
      done = write_at(file->fd(), make_working_set(stamp, *runs), 0);
    }
    if (done) done = file->commit();
    if (!done) log::warning("the working set is not noted: {}", done.error().text());
  });
}

}  // namespace mote::snapshot

#include "storage/overlay/disk.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "storage/cursor.h"
#include "storage/sync_engine.h"

namespace mote::storage::overlay {

// Requests. How a disk is opened, flushed and frozen is in disk_life.cc.

namespace {

void finish(DiskRequest request, Result<void> result, Disk::Done done) {
  done(std::move(request), std::move(result));
}

Result<void> serve(ImageFile& file, std::uint64_t place, DiskRequest& request,
                   std::uint64_t length) {
  switch (request.op) {
    case Op::kRead:
      return file.read(request.buffers, place);
    case Op::kWrite:
      return file.write(request.buffers, place);
    case Op::kFlush:
      return file.sync();
    case Op::kDiscard:
      file.punch(place, length);
      return {};
    case Op::kWriteZeroes:
      if (file.punch(place, length)) return {};
      std::vector<iovec> zeros;
      append_zeroes(length, zeros);
      return file.write(zeros, place);
  }
  return fail(ErrorKind::kInternal, "a disk request of no kind");
}

}  // namespace

// One request that is several operations: done when the last of them is, with the first error.
struct OverlayDisk::Joined {
  DiskRequest request;
  Done done;
  std::size_t left = 1;  // parts, and whoever starts them
  Result<void> result{};

  static void end_part(const std::shared_ptr<Joined>& joined, Result<void> result) {
    if (!result && joined->result) joined->result = std::move(result);
    if (--joined->left > 0) return;
    joined->done(std::move(joined->request), std::move(joined->result));
  }
};

void OverlayDisk::start(DiskRequest request, std::uint64_t length, Done done) {
  if (request.op == Op::kFlush) return flush({std::move(request), std::move(done)});
  if (length == 0) return finish(std::move(request), {}, std::move(done));
  switch (request.op) {
    case Op::kRead:
      return read(std::move(request), length, std::move(done));
    case Op::kWrite:
      return write(std::move(request), length, std::move(done));
    default:
      return clear(std::move(request), length, std::move(done));
  }
}

void OverlayDisk::pass_on(std::size_t file, std::uint64_t place, DiskRequest request,
                          std::uint64_t length, Done done) {
  if (ring_) {
    return ring_->start_on(ring_files_[file], place, std::move(request), length, std::move(done));
  }
  Result<void> result = serve(stack_.file(file), place, request, length);
  finish(std::move(request), std::move(result), std::move(done));
}

// Reads
// ------------------------------------------------------------------------------------------------

void OverlayDisk::read(DiskRequest request, std::uint64_t length, Done done) {
  auto extent = stack_.find(request.offset, length);
  if (!extent) return finish(std::move(request), detail::take_error(extent), std::move(done));
  if (extent->length < length) return read_parts(std::move(request), length, std::move(done));
  if (extent->file) {
    return pass_on(*extent->file, extent->offset, std::move(request), length, std::move(done));
  }
  fill_zeros(request.buffers);
  finish(std::move(request), {}, std::move(done));
}

void OverlayDisk::read_parts(DiskRequest request, std::uint64_t length, Done done) {
  if (!ring_) {
    Result<void> result = stack_.read(request.buffers, request.offset, stack_.layers());
    return finish(std::move(request), std::move(result), std::move(done));
  }
  const auto joined = std::make_shared<Joined>(std::move(request), std::move(done));
  std::uint64_t offset = joined->request.offset;
  const std::uint64_t end = offset + length;
  Cursor cursor(joined->request.buffers);
  while (offset < end) {
    auto extent = stack_.find(offset, end - offset);
    if (!extent) return Joined::end_part(joined, detail::take_error(extent));
    const std::span<iovec> part = cursor.take(extent->length);
    if (extent->file) {
      ++joined->left;
      pass_on(*extent->file, extent->offset,
              {.op = Op::kRead, .offset = offset, .buffers = {part.begin(), part.end()}},
              extent->length, [joined](const DiskRequest&, Result<void> result) {
                Joined::end_part(joined, std::move(result));
              });
    } else {
      fill_zeros(part);
    }
    offset += extent->length;
  }
  Joined::end_part(joined, {});
}

bool OverlayDisk::try_read(DiskRequest& request, std::uint64_t length) {
  if (!ring_ || length == 0) return false;
  const auto extent = stack_.find(request.offset, length);
  if (!extent || extent->length < length) return false;
  if (extent->file) {
    return ring_->try_read_on(ring_files_[*extent->file], extent->offset, request, length);
  }
  fill_zeros(request.buffers);
  return true;
}

// Writes
// ------------------------------------------------------------------------------------------------

// Whether the topmost layer holds all of a range.
Result<bool> OverlayDisk::holds(std::uint64_t offset, std::uint64_t length) {
  while (length > 0) {
    MOTE_TRY(const Layer::Run run, stack_.top().find(offset, length));
    if (!run.held) return false;
    offset += run.length;
    length -= run.length;
  }
  return true;
}

void OverlayDisk::write(DiskRequest request, std::uint64_t length, Done done) {
  const Result<bool> held = holds(request.offset, length);
  if (held && *held) {
    const std::uint64_t place = place_of(request.offset);
    return pass_on(stack_.layers(), place, std::move(request), length, std::move(done));
  }
  Result<void> result = held ? write_now(request.buffers, length, request.offset)
                             : std::unexpected(Error(held.error()));
  finish(std::move(request), std::move(result), std::move(done));
}

Result<void> OverlayDisk::write_now(std::span<iovec> buffers, std::uint64_t length,
                                    std::uint64_t offset) {
  Cursor cursor(buffers);
  while (length > 0) {
    MOTE_TRY(const Layer::Run run, stack_.top().find(offset, length));
    const std::span<iovec> part = cursor.take(run.length);
    if (run.held) {
      MOTE_CHECK(stack_.top().file().write(part, place_of(offset)));
    } else {
      MOTE_CHECK(write_new(part, run.length, offset));
    }
    offset += run.length;
    length -= run.length;
  }
  return {};
}

// Clusters that the layer does not hold yet get the data, and around it what the disk has there
// now. Then it holds them.
Result<void> OverlayDisk::write_new(std::span<const iovec> buffers, std::uint64_t length,
                                    std::uint64_t offset) {
  const std::uint64_t size = cluster_size();
  const std::uint64_t begin = offset & ~(size - 1);
  const std::uint64_t end = offset + length;
  const std::uint64_t whole_end = std::min((end + size - 1) & ~(size - 1), size_);
  std::vector<std::byte> head(offset - begin);
  std::vector<std::byte> tail(whole_end - end);
  iovec before{head.data(), head.size()};
  iovec after{tail.data(), tail.size()};
  const std::size_t below = stack_.layers() - 1;
  MOTE_CHECK(stack_.read(std::span(&before, 1), begin, below));
  MOTE_CHECK(stack_.read(std::span(&after, 1), end, below));
  std::vector<iovec> whole;
  whole.reserve(buffers.size() + 2);
  if (!head.empty()) whole.push_back({head.data(), head.size()});
  whole.insert(whole.end(), buffers.begin(), buffers.end());
  if (!tail.empty()) whole.push_back({tail.data(), tail.size()});
  MOTE_CHECK(stack_.top().file().write(whole, place_of(begin)));
  return stack_.top().hold(begin / size, (whole_end - begin + size - 1) / size);
}

// Ranges
// ------------------------------------------------------------------------------------------------

// Makes a hole of clusters `first` to `last`, which the layer holds then: they read as zeros.
Result<void> OverlayDisk::zero_clusters(std::uint64_t first, std::uint64_t last) {
  const std::uint64_t begin = first * cluster_size();
  const std::uint64_t end = std::min(last * cluster_size(), size_);
  DiskRequest zeros{.op = Op::kWriteZeroes, .buffers = {}};
  MOTE_CHECK(serve(stack_.top().file(), place_of(begin), zeros, end - begin));
  return stack_.top().hold(first, last - first);
}

void OverlayDisk::clear(DiskRequest request, std::uint64_t length, Done done) {
  const std::uint64_t size = cluster_size();
  const std::uint64_t begin = request.offset;
  const std::uint64_t end = begin + length;
  const std::uint64_t first = (begin + size - 1) / size;
  // The disk's last cluster may reach past its end, where nothing is.
  const std::uint64_t last = end == size_ ? (end + size - 1) / size : end / size;
  const bool zeroes = request.op == Op::kWriteZeroes;
  const bool any = first < last;
  const std::uint64_t whole_begin = any ? first * size : end;
  const std::uint64_t whole_end = any ? std::min(last * size, end) : end;
  Result<void> result;
  bool rest = any;
  if (zeroes) {
    const auto write_zeros = [this](std::uint64_t from, std::uint64_t to) -> Result<void> {
      std::vector<iovec> zeros;
      append_zeroes(to - from, zeros);
      return write_now(zeros, to - from, from);
    };
    result = write_zeros(begin, whole_begin);
    if (result) result = write_zeros(whole_end, end);
    const Result<bool> held = any ? holds(whole_begin, whole_end - whole_begin) : true;
    if (result && !held) result = std::unexpected(Error(held.error()));
    if (result && any && !*held) {
      result = zero_clusters(first, last);
      rest = false;
    }
  }
  if (!result || !rest) return finish(std::move(request), std::move(result), std::move(done));
  // What the layer does not hold is not read from there, and may become a hole as well.
  const DiskRequest part{.op = request.op,
                         .offset = whole_begin,
                         .length = whole_end - whole_begin,
                         .may_unmap = true,
                         .buffers = {}};
  pass_on(stack_.layers(), place_of(whole_begin), part, part.length,
          [request = std::move(request), done = std::move(done)](const DiskRequest&,
                                                                 Result<void> outcome) mutable {
            done(std::move(request), std::move(outcome));
          });
}

}  // namespace mote::storage::overlay

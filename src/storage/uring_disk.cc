#include "storage/uring_disk.h"

#include <sys/epoll.h>

#include <chrono>
#include <utility>

#include "storage/sync_engine.h"

namespace mote::storage {
namespace {

constexpr std::chrono::milliseconds kRetry{1};

const char* name_of(Op op) {
  switch (op) {
    case Op::kRead:
      return "read";
    case Op::kWrite:
      return "write";
    case Op::kFlush:
      return "flush";
    case Op::kDiscard:
      return "discard of";
    case Op::kWriteZeroes:
      return "write zeroes to";
  }
  return "use";
}

}  // namespace

Result<std::shared_ptr<DiskRing>> DiskRing::create(EventLoop& loop) {
  std::shared_ptr<DiskRing> made(new DiskRing);
  MOTE_TRY(made->ring_, Uring::create());
  MOTE_TRY(made->watch_, loop.watch(made->ring_->fd(), EPOLLIN, [ring = made.get()](std::uint32_t) {
    if (ring->user_ != nullptr) ring->user_->ready();
  }));
  return made;
}

UringDisk::UringDisk(RawFile file, std::shared_ptr<DiskRing> ring)
    : file_(std::move(file)), ring_(std::move(ring)), slots_(Uring::kDepth) {
  for (std::size_t slot = Uring::kDepth; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

Result<std::unique_ptr<UringDisk>> UringDisk::create(RawFile file, EventLoop& loop,
                                                     std::shared_ptr<DiskRing>* ring) {
  std::shared_ptr<DiskRing> own;
  std::shared_ptr<DiskRing>& used = ring == nullptr ? own : *ring;
  if (!used) {
    MOTE_TRY(used, DiskRing::create(loop));
  }
  std::unique_ptr<UringDisk> made(new UringDisk(std::move(file), used));
  MOTE_CHECK(made->add_file(made->file_.fd.get(), made->file_.in_memory));
  MOTE_TRY(made->retry_, loop.timer([&disk = *made] { disk.ready(); }));
  return made;
}

Result<unsigned> UringDisk::add_file(int fd, bool in_memory) {
  MOTE_TRY(const unsigned number, ring().take_file(fd));
  files_.push_back({.fd = fd, .number = number, .in_memory = in_memory});
  return static_cast<unsigned>(files_.size() - 1);
}

UringDisk::~UringDisk() {
  drain();
  for (const File& file : files_) ring().give_back(file.number);
  if (ring_->user_ == this) ring_->user_ = nullptr;
}

// Requests in
// ------------------------------------------------------------------------------------------------

void UringDisk::start_on(unsigned file, std::uint64_t place, DiskRequest request,
                         std::uint64_t length, Done done) {
  // In memory there is nothing to wait for, and the ring would hand most of it to a thread of the
  // kernel.
  const File& on = files_[file];
  const bool now = on.in_memory || (length == 0 && request.op != Op::kFlush);
  if (now) {
    Result<void> result = serve_now(on.fd, place, request, length);
    done(std::move(request), std::move(result));
    return;
  }
  Waiting next{on.number, place, std::move(request), length, std::move(done)};
  if (!free_slots_.empty()) return launch(std::move(next));
  ++throttled_;
  waiting_.push_back(std::move(next));
}

bool UringDisk::try_read_on(unsigned file, std::uint64_t place, const DiskRequest& request,
                            std::uint64_t length) {
  return read_at_hand(files_[file].fd, files_[file].in_memory, request.buffers, place, length);
}

void UringDisk::launch(Waiting next) {
  const std::size_t slot = free_slots_.back();
  free_slots_.pop_back();
  Running& running = slots_[slot];
  running = {.file = next.file,
             .request = std::move(next.request),
             .done = std::move(next.done),
             .left = {},
             .offset = next.place,
             .length = next.length};
  running.left = running.request.buffers;
  take_off(running.left, 0);
  put(slot);
}

void UringDisk::put(std::size_t slot) {
  ring_->user_ = this;
  const Running& running = slots_[slot];
  switch (running.request.op) {
    case Op::kRead:
      ring().read(running.file, running.left, running.offset, slot);
      break;
    case Op::kWrite:
      ring().write(running.file, running.left, running.offset, slot);
      break;
    case Op::kFlush:
      ring().flush(running.file, slot);
      break;
    case Op::kDiscard:
    case Op::kWriteZeroes:
      if (running.writes_zeroes) {
        ring().write(running.file, running.left, running.offset, slot);
      } else {
        ring().allocate(running.file, allocation_mode(running.request), running.offset,
                        running.length, slot);
      }
      break;
  }
  unsubmitted_ = true;
}

bool UringDisk::enter(unsigned wait_for) {
  auto entered = ring().submit(wait_for);
  unsubmitted_ = !entered || !*entered;
  if (unsubmitted_) static_cast<void>(retry_.set(kRetry));
  return !unsubmitted_;
}

void UringDisk::commit() {
  // What the page cache has is read at once, so that its completion is there by now; what follows
  // from that goes into the next turn.
  while (unsubmitted_ && enter(0)) reap();
}

void UringDisk::drain() {
  while (free_slots_.size() < slots_.size()) {
    enter(1);
    reap();
  }
}

// Completions out
// ------------------------------------------------------------------------------------------------

void UringDisk::ready() {
  if (listener_ != nullptr) listener_->begin_completions();
  reap();
  commit();
  if (listener_ != nullptr) listener_->end_completions();
}

void UringDisk::reap() {
  Uring::Completion completion;
  while (ring().take(completion)) {
    advance(static_cast<std::size_t>(completion.tag), completion.result);
  }
}

// One operation of a request is done: the request is, or goes on with what is left of it.
void UringDisk::advance(std::size_t slot, std::int32_t result) {
  Running& running = slots_[slot];
  const Op op = running.request.op;
  if (result == -EINTR || result == -EAGAIN) return put(slot);
  const bool allocates = is_range(op) && !running.writes_zeroes;
  if (allocates && result < 0 && cannot_allocate(-result)) {
    if (op == Op::kDiscard) return finish(slot, {});
    running.writes_zeroes = true;
    append_zeroes(running.length, running.request.buffers);
    running.left = running.request.buffers;
    return put(slot);
  }
  if (result < 0) {
    return finish(slot, fail_errno(-result, "{} a disk at offset {}", name_of(op), running.offset));
  }
  if (allocates || op == Op::kFlush) return finish(slot, {});
  if (result == 0) {
    return finish(slot, fail(ErrorKind::kIo, "{} a disk at offset {}: its file ends there by now",
                             name_of(op), running.offset));
  }
  running.offset += static_cast<std::uint64_t>(result);
  take_off(running.left, static_cast<std::size_t>(result));
  if (running.left.empty()) return finish(slot, {});
  put(slot);
}

void UringDisk::finish(std::size_t slot, Result<void> result) {
  Running done = std::move(slots_[slot]);
  free_slots_.push_back(slot);
  if (!waiting_.empty()) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    launch(std::move(next));
  }
  done.done(std::move(done.request), std::move(result));
}

}  // namespace mote::storage

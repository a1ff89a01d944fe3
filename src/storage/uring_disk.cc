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

UringDisk::UringDisk(RawFile file, std::shared_ptr<DiskRing> ring, unsigned number)
    : file_(std::move(file)), ring_(std::move(ring)), number_(number), slots_(Uring::kDepth) {
  for (std::size_t slot = Uring::kDepth; slot > 0; --slot) free_slots_.push_back(slot - 1);
}

Result<std::unique_ptr<UringDisk>> UringDisk::create(RawFile file, EventLoop& loop,
                                                     std::shared_ptr<DiskRing> ring) {
  MOTE_TRY(const unsigned number, ring->ring_->take_file(file.fd.get()));
  std::unique_ptr<UringDisk> made(new UringDisk(std::move(file), std::move(ring), number));
  MOTE_TRY(made->retry_, loop.timer([&disk = *made] { disk.ready(); }));
  return made;
}

Result<std::unique_ptr<UringDisk>> UringDisk::create(RawFile file, EventLoop& loop) {
  MOTE_TRY(auto ring, DiskRing::create(loop));
  return create(std::move(file), loop, std::move(ring));
}

UringDisk::~UringDisk() {
  drain();
  ring().give_back(number_);
  if (ring_->user_ == this) ring_->user_ = nullptr;
}

// Requests in
// ------------------------------------------------------------------------------------------------

void UringDisk::start(DiskRequest request, std::uint64_t length, Done done) {
  // In memory there is nothing to wait for, and the ring would hand most of it to a thread of the
  // kernel.
  const bool now = file_.in_memory || (length == 0 && request.op != Op::kFlush);
  if (now) {
    Result<void> result = serve_now(file_.fd.get(), request, length);
    done(std::move(request), std::move(result));
    return;
  }
  if (free_slots_.empty()) {
    ++throttled_;
    waiting_.push_back({std::move(request), length, std::move(done)});
    return;
  }
  launch(std::move(request), length, std::move(done));
}

void UringDisk::launch(DiskRequest request, std::uint64_t length, Done done) {
  const std::size_t slot = free_slots_.back();
  free_slots_.pop_back();
  Running& running = slots_[slot];
  running = {.request = std::move(request), .done = std::move(done), .left = {}, .length = length};
  running.offset = running.request.offset;
  running.left = running.request.buffers;
  take_off(running.left, 0);
  put(slot);
}

void UringDisk::put(std::size_t slot) {
  ring_->user_ = this;
  const Running& running = slots_[slot];
  switch (running.request.op) {
    case Op::kRead:
      ring().read(number_, running.left, running.offset, slot);
      break;
    case Op::kWrite:
      ring().write(number_, running.left, running.offset, slot);
      break;
    case Op::kFlush:
      ring().flush(number_, slot);
      break;
    case Op::kDiscard:
    case Op::kWriteZeroes:
      if (running.writes_zeroes) {
        ring().write(number_, running.left, running.offset, slot);
      } else {
        ring().allocate(number_, allocation_mode(running.request), running.offset, running.length,
                        slot);
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
    launch(std::move(next.request), next.length, std::move(next.done));
  }
  done.done(std::move(done.request), std::move(result));
}

}  // namespace mote::storage

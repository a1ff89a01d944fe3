#include "isolation/jail/file_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <span>

#include "base/mapped_memory.h"

namespace mote::isolation::jail {

bool share_blocks(const UniqueFd& from, const UniqueFd& to) {
  return ::ioctl(to.get(), FICLONE, from.get()) == 0;
}

namespace {

// How often a thread looks for what another does, before it sleeps: to be woken takes longer than
// what it waits for usually does.
constexpr int kLooks = 1000;

// About a microsecond, in which a thread that shares the core, or the processor, gets on.
void look_away(int look) {
  constexpr int kPauses = 32;
  constexpr int kLooksOfTurn = 16;
#ifdef __x86_64__
  for (int i = 0; i < kPauses; ++i) __builtin_ia32_pause();
#endif
  if (look % kLooksOfTurn == 0) ::sched_yield();
}

// A piece that is copied stays in the processor's cache: the kernel's own ways (copy_file_range,
// sendfile) are no faster, and a file that is mapped is copied slower.
constexpr std::size_t kPiece = 128 << 10;

}  // namespace

void Copier::prepare() {
  auto worker = Worker::start_elsewhere(ThreadKind::kWorker, [this] { wait_for_work(); });
  if (worker) worker_ = std::move(*worker);
}

void Copier::wait_for_work() {
  // With its pages, by one call, before they are needed.
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
  if (auto piece = MappedMemory::map(kPiece, PROT_READ | PROT_WRITE, kFlags)) {
    piece_ = std::move(*piece);
  }
  for (int i = 0; i < kLooks && state_ == State::kNone; ++i) look_away(i);
  State found = State::kNone;
  if (state_.compare_exchange_strong(found, State::kAsleep)) return;
  if (found == State::kBegun) copy();
}

void Copier::begin(UniqueFd from, UniqueFd to, std::uint64_t size) {
  from_ = std::move(from);
  to_ = std::move(to);
  size_ = size;
  begun_ = true;
  const bool asleep = state_.exchange(State::kBegun) == State::kAsleep;
  if (!worker_) return;
  if (asleep) worker_->run([this] { copy(); });
  worker_->run_last({});
}

void Copier::copy() {
  result_ = copy_all();
  to_.reset();
  state_ = State::kDone;
}

Result<void> Copier::copy_all() {
  // All blocks at once, a fifth of the time less than one after the other: for a filesystem that
  // cannot, they come as they are written.
  const int made = ::fallocate(to_.get(), 0, 0, static_cast<off_t>(size_));
  if (made < 0 && errno == ENOSPC) return fail_errno(errno, "room for {} bytes", size_);
  if (piece_.size() == 0) {
    MOTE_TRY(piece_,
             MappedMemory::map(kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS));
  }
  for (std::uint64_t offset = 0; offset < size_;) {
    const auto wanted = std::min<std::uint64_t>(kPiece, size_ - offset);
    MOTE_TRY(const std::size_t count, read_at(from_.get(), piece_.bytes().first(wanted), offset));
    if (count == 0) return fail(ErrorKind::kIo, "the file shrank while it was copied");
    MOTE_CHECK(write_all(to_.get(), std::span<const std::byte>(piece_.bytes()).first(count)));
    offset += count;
  }
  return {};
}

const Result<void>& Copier::finish() {
  if (!begun_) return result_;
  if (!worker_ && state_ != State::kDone) copy();
  for (int i = 0; i < kLooks && state_ != State::kDone; ++i) look_away(i);
  if (state_ != State::kDone) worker_->wait();
  return result_;
}

void Copier::end() {
  State none = State::kNone;
  state_.compare_exchange_strong(none, State::kDone);
  worker_.reset();
}

}  // namespace mote::isolation::jail

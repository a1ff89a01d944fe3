#include "storage/uring.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>

namespace mote::storage {
namespace {

Result<void> check(int status, const char* what) {
  if (status >= 0) return {};
  return fail_errno(-status, "{}", what);
}

// What the ring may do once it is enabled.
Result<void> limit(io_uring& ring) {
  std::array<io_uring_restriction, 6> allowed{};
  std::size_t count = 0;
  for (const int op : {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE}) {
    allowed[count].opcode = IORING_RESTRICTION_SQE_OP;
    allowed[count++].sqe_op = static_cast<std::uint8_t>(op);
  }
  allowed[count].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
  allowed[count++].sqe_flags = IOSQE_FIXED_FILE;
  allowed[count].opcode = IORING_RESTRICTION_REGISTER_OP;
  allowed[count++].register_op = IORING_REGISTER_FILES_UPDATE;
  return check(io_uring_register_restrictions(&ring, allowed.data(), count),
               "restrict an io_uring");
}

Result<void> set_up(io_uring& ring) {
  // Completions are made on this thread when it enters the kernel, not by interrupting it. Kernels
  // before 5.19 do not know that.
  for (const unsigned flags :
       {IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN, IORING_SETUP_R_DISABLED | 0U}) {
    const int status = io_uring_queue_init(Uring::kDepth, &ring, flags);
    if (status == 0) return {};
    if (status == -EINVAL) continue;
    if (status == -ENOSYS || status == -EPERM) {
      return fail(ErrorKind::kUnsupported,
                  "this host has no io_uring for this process: {} (kernel.io_uring_disabled, or a "
                  "seccomp filter?); use io_engine Sync",
                  errno_text(-status));
    }
    return fail_errno(-status, "make an io_uring");
  }
  return fail(ErrorKind::kUnsupported,
              "this host's io_uring is too old: Linux 5.10 is needed; use io_engine Sync");
}

// As many as one call takes.
unsigned count_of(std::span<const iovec> buffers) {
  return static_cast<unsigned>(std::min<std::size_t>(buffers.size(), IOV_MAX));
}

}  // namespace

Result<std::unique_ptr<Uring>> Uring::create() {
  std::unique_ptr<Uring> made(new Uring);
  io_uring& ring = made->ring_;
  ring.ring_fd = -1;
  MOTE_CHECK(set_up(ring));
  std::array<int, kFiles> none{};
  none.fill(-1);
  MOTE_CHECK(check(io_uring_register_files(&ring, none.data(), none.size()),
                   "give an io_uring its table of files"));
  MOTE_CHECK(limit(ring));
  MOTE_CHECK(check(io_uring_enable_rings(&ring), "enable an io_uring"));
  return made;
}

Uring::~Uring() {
  if (ring_.ring_fd >= 0) io_uring_queue_exit(&ring_);
}

Result<unsigned> Uring::take_file(int fd) {
  if (taken_.all()) return fail(ErrorKind::kState, "an io_uring has {} files already", kFiles);
  unsigned file = 0;
  while (taken_[file]) ++file;
  MOTE_CHECK(
      check(io_uring_register_files_update(&ring_, file, &fd, 1), "give an io_uring a file"));
  taken_.set(file);
  return file;
}

void Uring::give_back(unsigned file) {
  const int none = -1;
  io_uring_register_files_update(&ring_, file, &none, 1);
  taken_.reset(file);
}

template <typename Prepare>
void Uring::put(std::uint64_t tag, Prepare prepare) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) std::abort();  // a defect of the caller: there is one for each of kDepth
  prepare(*entry);
  entry->flags |= IOSQE_FIXED_FILE;
  entry->user_data = tag;
}

void Uring::read(unsigned file, std::span<const iovec> buffers, std::uint64_t offset,
                 std::uint64_t tag) {
  put(tag, [&](io_uring_sqe& entry) {
    io_uring_prep_readv(&entry, static_cast<int>(file), buffers.data(), count_of(buffers), offset);
  });
}

void Uring::write(unsigned file, std::span<const iovec> buffers, std::uint64_t offset,
                  std::uint64_t tag) {
  put(tag, [&](io_uring_sqe& entry) {
    io_uring_prep_writev(&entry, static_cast<int>(file), buffers.data(), count_of(buffers), offset);
  });
}

void Uring::flush(unsigned file, std::uint64_t tag) {
  put(tag, [&](io_uring_sqe& entry) {
    io_uring_prep_fsync(&entry, static_cast<int>(file), IORING_FSYNC_DATASYNC);
  });
}

void Uring::allocate(unsigned file, int mode, std::uint64_t offset, std::uint64_t length,
                     std::uint64_t tag) {
  put(tag, [&](io_uring_sqe& entry) {
    io_uring_prep_fallocate(&entry, static_cast<int>(file), mode, static_cast<off_t>(offset),
                            static_cast<off_t>(length));
  });
}

Result<bool> Uring::submit(unsigned wait_for) {
  const int status =
      wait_for == 0 ? io_uring_submit(&ring_) : io_uring_submit_and_wait(&ring_, wait_for);
  if (status >= 0 || status == -EINTR) return true;
  if (status == -EAGAIN || status == -EBUSY) return false;
  return fail_errno(-status, "enter an io_uring");
}

bool Uring::take(Completion& into) {
  if (io_uring_cq_ready(&ring_) == 0) return false;
  io_uring_cqe* entry = nullptr;
  if (io_uring_peek_cqe(&ring_, &entry) != 0 || entry == nullptr) return false;
  into = {.tag = entry->user_data, .result = entry->res};
  io_uring_cqe_seen(&ring_, entry);
  return true;
}

}  // namespace mote::storage

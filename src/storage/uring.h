// Uring is an io_uring (io_uring_setup(2)) which can do nothing but read, write, flush and
// fallocate the files that it is given: the kernel holds it to that. Belongs to one thread.
#pragma once

#include <liburing.h>
#include <sys/uio.h>

#include <bitset>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace mote::storage {

class Uring {
 public:
  // Operations that can be under way at once.
  static constexpr unsigned kDepth = 128;

  // The most files that it has at once: a disk's, of one in many layers too, and those that take
  // their place.
  static constexpr unsigned kFiles = 80;

  // A ring without a file. Errors: a kernel without io_uring, or one whose
  // kernel.io_uring_disabled or seccomp filter forbids it (kUnsupported); no memory (kResource).
  static Result<std::unique_ptr<Uring>> create();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;
  ~Uring();

  // Readable when an operation is done.
  int fd() const { return ring_.ring_fd; }

  // Gives it a file, which it keeps open until it is given back; its number.
  // Errors: it has kFiles of them.
  Result<unsigned> take_file(int fd);
  // With no operation under way.
  void give_back(unsigned file);

  // Puts an operation into the submission queue; `tag` comes back with its completion. No more than
  // kDepth are under way. Buffers stay until then.
  void read(unsigned file, std::span<const iovec> buffers, std::uint64_t offset, std::uint64_t tag);
  void write(unsigned file, std::span<const iovec> buffers, std::uint64_t offset,
             std::uint64_t tag);
  void flush(unsigned file, std::uint64_t tag);
  void allocate(unsigned file, int mode, std::uint64_t offset, std::uint64_t length,
                std::uint64_t tag);

  // Hands the kernel what was put since the last time, in one call, and waits for `wait_for`
  // completions. False: it has no room for them now; try again.
  Result<bool> submit(unsigned wait_for = 0);

  struct Completion {
    std::uint64_t tag = 0;
    std::int32_t result = 0;  // bytes, or -errno
  };
  // The next completion, without entering the kernel; false: none.
  bool take(Completion& into);

 private:
  Uring() = default;
  template <typename Prepare>
  void put(std::uint64_t tag, Prepare prepare);

  io_uring ring_{};
  std::bitset<kFiles> taken_;
};

}  // namespace mote::storage

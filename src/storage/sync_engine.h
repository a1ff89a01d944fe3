// The synchronous engine: one system call after the other on the caller's thread.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "base/result.h"
#include "storage/disk.h"

namespace mote::storage {

// preadv(2) and pwritev(2) until all of `buffers` is done; the list is changed on the way. An error
// also when the file ends earlier, as it may have been truncated.
Result<void> read_vector(int fd, std::span<iovec> buffers, std::uint64_t offset);
// Reads `length` bytes into `buffers`, which have that room, if nothing has to be waited for: all
// of it is in the page cache, or the file is `in_memory` (RawFile has it). False: it is not, or
// there is another reason to ask in another way; what the buffers hold is undefined.
bool read_at_hand(int fd, bool in_memory, std::span<const iovec> buffers, std::uint64_t offset,
                  std::uint64_t length);
Result<void> write_vector(int fd, std::span<iovec> buffers, std::uint64_t offset);
// Makes `length` bytes at `offset` read as zeros: by giving their room back to the host where
// `may_unmap` says so, else by a hint to the filesystem or device, else by writing zeros.
Result<void> write_zeroes(int fd, std::uint64_t offset, std::uint64_t length, bool may_unmap);
// Gives the room of `length` bytes at `offset` back to the host, where it can take it.
Result<void> discard(int fd, std::uint64_t offset, std::uint64_t length);
// fdatasync(2).
Result<void> sync_data(int fd);

// Does a request of `length` bytes by the calls above, from the file's byte `place` on, whatever
// the request says its offset is. Its list of buffers is changed on the way.
Result<void> serve_now(int fd, std::uint64_t place, DiskRequest& request, std::uint64_t length);

// Takes `count` bytes, which are there, off the front of `buffers`, and what is empty then.
void take_off(std::span<iovec>& buffers, std::size_t count);

// Whether fallocate(2) fails with `error` (errno) because the filesystem or device does not know
// the call, or not in pieces so small.
bool cannot_allocate(int error);
// What fallocate(2) is asked for, by a discard and by a request to write zeroes.
int allocation_mode(const DiskRequest& request);

}  // namespace mote::storage

// A memory file's stamp tells of which moment of which machine it is, so that it is loaded with no
// other state than its own, and changes are laid over nothing but what they are changes of. It lies
// in guest memory, at the end of the page of VMClock, whose beginning the guest reads: so it is in
// whatever copies or merges files, of this program or not, and a file that was merged is, byte for
// byte, the one that was written whole at that moment.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"

namespace mote::snapshot {

// Random: of a moment at which a paused machine stood, and of no other.
using MomentId = std::array<std::byte, 16>;

struct Stamp {
  MomentId moment{};
  // That of the snapshot before, where the machine knows what was written since.
  std::optional<MomentId> previous = {};
  // Of changes that were laid over others: since when they are, which is longer.
  std::optional<MomentId> since = {};
  bool alone = false;  // of changes that were not laid over anything
};

inline constexpr std::size_t kStampSize = 64;
// Guest-physical, and the offset in the file: RAM begins with it.
inline constexpr std::uint64_t kStampAt = 0x100000 - kStampSize;

std::array<std::byte, kStampSize> to_bytes(const Stamp& stamp);
// Empty: they are no stamp.
std::optional<Stamp> stamp_of(std::span<const std::byte, kStampSize> bytes);

// The stamp of a memory file; empty: it has none.
Result<std::optional<Stamp>> read_stamp(int fd);
Result<void> write_stamp(int fd, const Stamp& stamp);

// Whether `changes` may be laid over a file with the stamp `base`; also where that cannot be told.
// An error (kInvalid) says why not.
Result<void> check_order(const std::optional<Stamp>& base, const std::optional<Stamp>& changes);
// The stamp of the file of `base` with `changes` laid over it; `partial`: that is of changes too.
std::optional<Stamp> merged(const std::optional<Stamp>& base, const std::optional<Stamp>& changes,
                            bool partial);
// Whether a file of memory is one of changes: it has nothing where every machine has something from
// its start on, and seldom writes.
Result<bool> is_partial(int fd);

// An error (kInvalid) when the file at `fd` is known to hold changes alone. One that some other
// program has laid them over, stamp and all, is whole.
Result<void> check_whole(int fd);

// An error (kInvalid) when memory with `found` is not that of the moment `wanted`.
Result<void> check_moment(const std::optional<Stamp>& found, const MomentId& wanted);
// The same of the memory file at `fd`.
Result<void> check_moment_of(int fd, const MomentId& wanted);

}  // namespace mote::snapshot

#include "snapshot/stamp.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace mote::snapshot {
namespace {

constexpr std::string_view kMagic = "mote-mem";
constexpr std::uint32_t kHasPrevious = 1;
constexpr std::uint32_t kHasSince = 2;
constexpr std::uint32_t kAlone = 4;
// The MPTable, where the BIOS' low memory ends.
constexpr std::uint64_t kInEveryMachine = 0x9fc00;

// As it lies in memory, little-endian; what is free is 0.
struct RawStamp {
  char magic[8];
  std::uint32_t flags;
  std::uint32_t free;
  std::byte moment[16];
  std::byte previous[16];
  std::byte since[16];
};
static_assert(sizeof(RawStamp) == kStampSize && kMagic.size() == sizeof(RawStamp::magic));

std::string short_name(const MomentId& id) {
  std::string text;
  for (std::size_t i = 0; i < 4; ++i) text += fmt::format("{:02x}", std::to_integer<int>(id[i]));
  return text;
}

}  // namespace

std::array<std::byte, kStampSize> to_bytes(const Stamp& stamp) {
  RawStamp raw{};
  std::memcpy(raw.magic, kMagic.data(), kMagic.size());
  raw.flags = (stamp.previous ? kHasPrevious : 0) | (stamp.since ? kHasSince : 0) |
              (stamp.alone ? kAlone : 0);
  std::ranges::copy(stamp.moment, raw.moment);
  if (stamp.previous) std::ranges::copy(*stamp.previous, raw.previous);
  if (stamp.since) std::ranges::copy(*stamp.since, raw.since);
  std::array<std::byte, kStampSize> bytes;
  std::memcpy(bytes.data(), &raw, sizeof raw);
  return bytes;
}

std::optional<Stamp> stamp_of(std::span<const std::byte, kStampSize> bytes) {
  RawStamp raw{};
  std::memcpy(&raw, bytes.data(), sizeof raw);
  if (std::string_view(raw.magic, kMagic.size()) != kMagic) return std::nullopt;
  Stamp stamp{.alone = (raw.flags & kAlone) != 0};
  std::ranges::copy(raw.moment, stamp.moment.begin());
  if ((raw.flags & kHasPrevious) != 0) {
    stamp.previous.emplace();
    std::ranges::copy(raw.previous, stamp.previous->begin());
  }
  if ((raw.flags & kHasSince) != 0) {
    stamp.since.emplace();
    std::ranges::copy(raw.since, stamp.since->begin());
  }
  return stamp;
}

Result<std::optional<Stamp>> read_stamp(int fd) {
  std::array<std::byte, kStampSize> bytes{};
  MOTE_TRY(const std::size_t count, read_at(fd, bytes, kStampAt));
  if (count < bytes.size()) return std::nullopt;
  return stamp_of(bytes);
}

Result<void> write_stamp(int fd, const Stamp& stamp) {
  return write_at(fd, to_bytes(stamp), kStampAt);
}

Result<void> check_order(const std::optional<Stamp>& base, const std::optional<Stamp>& changes) {
  if (!base || !changes) return {};
  const auto& since = changes->since ? changes->since : changes->previous;
  // Two of one moment have the same to tell, or nothing.
  if (!since || *since == base->moment || changes->moment == base->moment) return {};
  return fail(ErrorKind::kInvalid,
              "the changes are those since snapshot {}, and the file that they are to be laid over "
              "is snapshot {}",
              short_name(*since), short_name(base->moment));
}

std::optional<Stamp> merged(const std::optional<Stamp>& base, const std::optional<Stamp>& changes,
                            bool partial) {
  if (!base || !changes) return changes;
  Stamp stamp{.moment = changes->moment, .previous = changes->previous};
  if (partial) stamp.since = base->since ? base->since : base->previous;
  stamp.alone = partial && base->alone;
  return stamp;
}

Result<bool> is_partial(int fd) {
  std::array<std::byte, 16> bytes{};
  MOTE_TRY(const std::size_t count, read_at(fd, bytes, kInEveryMachine));
  return count == 0 ||
         std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{}; });
}

Result<void> check_whole(int fd) {
  MOTE_TRY(const auto stamp, read_stamp(fd));
  if (!stamp || !stamp->alone) return {};
  MOTE_TRY(const bool partial, is_partial(fd));
  if (!partial) return {};
  return fail(ErrorKind::kInvalid,
              "it has changes alone; lay them over the memory file of before (mote snapshot rebase "
              "BASE CHANGES), and load that");
}

Result<void> check_moment(const std::optional<Stamp>& found, const MomentId& wanted) {
  if (found && found->moment == wanted) return {};
  return fail(ErrorKind::kInvalid, "it is not the memory of this state, but {}",
              found ? fmt::format("of snapshot {}, and the state is of {}",
                                  short_name(found->moment), short_name(wanted))
                    : "of no snapshot that has such a state");
}

Result<void> check_moment_of(int fd, const MomentId& wanted) {
  MOTE_TRY(const auto found, read_stamp(fd));
  return check_moment(found, wanted);
}

}  // namespace mote::snapshot

#include "storage/overlay/header.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace mote::storage::overlay {
namespace {

// As it lies in the page; what is behind it is 0.
struct RawHeader {
  std::uint32_t version;
  std::uint32_t cluster_bits;
  std::uint64_t size;
  Id id;
  std::uint32_t use;
  std::uint32_t below_kind;
  std::uint64_t below_size;
  Id below_id;
};
static_assert(sizeof(RawHeader) == 64);

}  // namespace

Result<void> check_shape(std::uint64_t size, unsigned cluster_bits) {
  if (cluster_bits < kLeastClusterBits || cluster_bits > kMostClusterBits) {
    return fail(ErrorKind::kInvalid, "a layer's clusters have 2^{} bytes; they must have 4K to 64K",
                cluster_bits);
  }
  const std::uint64_t most = kMostMapPages * kBitsPerPage << cluster_bits;
  if (size == 0 || size % kSectorSize != 0 || size > most) {
    return fail(ErrorKind::kInvalid,
                "a layer's disk has {} bytes; it must have whole sectors of {}, and with clusters "
                "of {} at most {}",
                size, kSectorSize, std::uint64_t{1} << cluster_bits, most);
  }
  return {};
}

Payload to_payload(const Header& header) {
  const RawHeader raw{.version = kVersion,
                      .cluster_bits = header.cluster_bits,
                      .size = header.size,
                      .id = header.id,
                      .use = static_cast<std::uint32_t>(header.use),
                      .below_kind = static_cast<std::uint32_t>(header.below.kind),
                      .below_size = header.below.size,
                      .below_id = header.below.id};
  Payload payload{};
  std::memcpy(payload.data(), &raw, sizeof raw);
  return payload;
}

Result<Header> from_payload(const Payload& payload) {
  RawHeader raw{};
  std::memcpy(&raw, payload.data(), sizeof raw);
  if (raw.version != kVersion) {
    return fail(ErrorKind::kUnsupported, "the layer is of version {}; this mote knows {}",
                raw.version, kVersion);
  }
  MOTE_CHECK(check_shape(raw.size, raw.cluster_bits));
  const auto rest = std::span(payload).subspan(sizeof raw / sizeof payload[0]);
  if (raw.use > static_cast<std::uint32_t>(Use::kSealed) ||
      raw.below_kind > static_cast<std::uint32_t>(Below::kLayer) ||
      std::ranges::any_of(rest, [](std::uint64_t word) { return word != 0; })) {
    return fail(ErrorKind::kInvalid, "the layer's header says what no layer says");
  }
  return Header{
      .cluster_bits = raw.cluster_bits,
      .size = raw.size,
      .id = raw.id,
      .use = static_cast<Use>(raw.use),
      .below = {
          .kind = static_cast<Below>(raw.below_kind), .size = raw.below_size, .id = raw.below_id}};
}

}  // namespace mote::storage::overlay

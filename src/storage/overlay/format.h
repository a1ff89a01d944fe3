// The format of a layer, all of it little-endian. A layer holds those clusters of a disk that were
// written since it was made; for the others one looks in what it lies on.
//
//   0                 the header, a page twice
//   8192 * (1 + i)    page `i` of the map, twice: a bit a cluster, whether the layer holds it
//   then              the clusters, each at its own place: that of the disk, shifted
//
// A cluster is never elsewhere, so there is nothing to allocate, nothing in the file can point
// anywhere, and what is one piece in the disk is one in the file. The file is sparse: what was
// never written takes no room, be it of the map or of the clusters, and a hole in a cluster that
// the layer holds is zeros.
//
// Each page is there twice, and a change goes to the copy that is older. Whatever is cut short, one
// is whole: the one before or the one after.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "storage/disk.h"

namespace mote::storage::overlay {

inline constexpr std::size_t kPage = 4096;
inline constexpr std::array<char, 8> kMagic{'m', 'o', 't', 'e', 'l', 'a', 'y', 'r'};
inline constexpr std::uint32_t kVersion = 1;
inline constexpr unsigned kLeastClusterBits = 12;
inline constexpr unsigned kMostClusterBits = 16;
inline constexpr std::size_t kPayload = kPage - 32;
inline constexpr std::uint64_t kBitsPerPage = kPayload * 8;
// What a map may have in memory: 64 MiB. That is 2 TiB of disk in clusters of 4 KiB, 32 TiB in the
// largest ones.
inline constexpr std::uint64_t kMostMapPages = (std::uint64_t{64} << 20) / kPage;
// Layers under the one that is written, their base included.
inline constexpr std::size_t kMostBelow = 32;

using Payload = std::array<std::uint64_t, kPayload / 8>;

// A page as it lies in the file.
struct RawPage {
  std::array<char, 8> magic;
  std::uint64_t checksum;  // of all behind it
  std::uint64_t sequence;  // of the two copies the higher one counts; 0: never written
  std::uint32_t number;    // 0: the header, 1 + i: page i of the map
  std::uint32_t free;
  Payload payload;
};
static_assert(sizeof(RawPage) == kPage && offsetof(RawPage, sequence) == 16);

using Id = std::array<std::uint8_t, 16>;

// How far a layer is in its life. A sealed one is never written again: others lie on it.
enum class Use : std::uint32_t { kFresh = 0, kUsed = 1, kSealed = 2 };

// What a layer lies on.
enum class Below : std::uint32_t {
  kNothing = 0,  // zeros
  kRaw = 1,      // an image that is the disk's bytes; its id is made of some of them
  kLayer = 2,    // a sealed layer, by its id
};

struct Identity {
  Below kind = Below::kNothing;
  std::uint64_t size = 0;  // of the disk that it is, bytes
  Id id{};
  bool operator==(const Identity&) const = default;
};

struct Header {
  unsigned cluster_bits = kLeastClusterBits;
  std::uint64_t size = 0;  // of the disk, bytes; whole sectors
  Id id{};                 // of this layer
  Use use = Use::kFresh;
  Identity below;

  std::uint64_t cluster_size() const { return std::uint64_t{1} << cluster_bits; }
  std::uint64_t clusters() const { return (size + cluster_size() - 1) >> cluster_bits; }
  std::uint64_t map_pages() const { return (clusters() + kBitsPerPage - 1) / kBitsPerPage; }
  // Where in the file the disk's first byte would be.
  std::uint64_t data_offset() const {
    constexpr std::uint64_t kAlignment = std::uint64_t{1} << kMostClusterBits;
    return ((1 + map_pages()) * 2 * kPage + kAlignment - 1) & ~(kAlignment - 1);
  }
  // This layer, for one that is to lie on it.
  Identity identity() const { return {.kind = Below::kLayer, .size = size, .id = id}; }
};

}  // namespace mote::storage::overlay

#include "storage/qcow2/header.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace mote::storage::qcow2 {
namespace {

constexpr std::size_t kHeaderV2 = 72;
constexpr std::size_t kHeaderV3 = 104;
constexpr std::size_t kCompressionField = 104;
constexpr std::size_t kMostBackingName = 1023;
constexpr std::uint32_t kMostSnapshots = 65536;

constexpr std::uint32_t kEndExtension = 0;
constexpr std::uint32_t kBackingFormatExtension = 0xe2792aca;
constexpr std::uint32_t kDataFileExtension = 0x44415441;

Result<void> check_features(std::uint64_t incompatible) {
  struct Refusal {
    unsigned bit;
    std::string_view name;
  };
  for (const Refusal& refusal : {Refusal{kExternalDataBit, "an external data file"},
                                 Refusal{kExtendedL2Bit, "extended L2 entries (subclusters)"}}) {
    if ((incompatible >> refusal.bit & 1) != 0) {
      return fail(ErrorKind::kUnsupported,
                  "the image has {} (incompatible feature bit {}), which is not supported",
                  refusal.name, refusal.bit);
    }
  }
  const std::uint64_t unknown = incompatible >> (kExtendedL2Bit + 1) << (kExtendedL2Bit + 1);
  if (unknown != 0) {
    return fail(ErrorKind::kUnsupported,
                "the image has incompatible features that are not known: bit {} of its header",
                std::countr_zero(unknown));
  }
  return {};
}

// A table of `length` bytes at `offset` is aligned and inside the file.
Result<void> check_table(std::string_view what, std::uint64_t offset, std::uint64_t length,
                         const Header& header, std::uint64_t file_size) {
  if (offset % header.cluster_size() != 0) {
    return fail(ErrorKind::kInvalid, "the {} is at {:#x}, not at the start of a cluster", what,
                offset);
  }
  if (offset == 0) return fail(ErrorKind::kInvalid, "the {} is where the header is", what);
  if (offset > file_size || length > file_size - offset) {
    return fail(ErrorKind::kInvalid, "the {} ({} bytes at {:#x}) passes the end of the file", what,
                length, offset);
  }
  return {};
}

Result<void> check_l1(const Header& header, std::uint64_t file_size) {
  if (header.size > INT64_MAX - header.cluster_size()) {
    return fail(ErrorKind::kInvalid, "the image says that its disk has {} bytes", header.size);
  }
  const std::uint64_t needed =
      divide_up(divide_up(header.size, header.cluster_size()), header.l2_entries());
  if (header.l1_entries > kMostL1Bytes / kEntrySize) {
    return fail(ErrorKind::kInvalid, "the L1 table has {} entries; {} are the most",
                header.l1_entries, kMostL1Bytes / kEntrySize);
  }
  if (header.l1_entries < needed) {
    return fail(ErrorKind::kInvalid, "the L1 table has {} entries, and a disk of {} bytes needs {}",
                header.l1_entries, header.size, needed);
  }
  if (header.l1_entries == 0) return {};
  return check_table("L1 table", header.l1_offset, header.l1_entries * kEntrySize, header,
                     file_size);
}

Result<void> check_refcounts(const Header& header, std::uint64_t file_size) {
  const std::uint64_t length = header.refcount_table_clusters * header.cluster_size();
  if (length == 0) return fail(ErrorKind::kInvalid, "the image has no refcount table");
  if (length > kMostRefcountTableBytes) {
    return fail(ErrorKind::kInvalid, "the refcount table has {} bytes; {} are the most", length,
                kMostRefcountTableBytes);
  }
  return check_table("refcount table", header.refcount_table_offset, length, header, file_size);
}

Result<void> check_snapshots(const Header& header, std::uint64_t file_size) {
  if (header.snapshots == 0) return {};
  if (header.snapshots > kMostSnapshots) {
    return fail(ErrorKind::kInvalid, "the image says that it has {} snapshots; {} are the most",
                header.snapshots, kMostSnapshots);
  }
  // An entry has at least 40 bytes.
  return check_table("snapshot table", header.snapshots_offset,
                     std::uint64_t{header.snapshots} * 40, header, file_size);
}

// Text of an image goes into messages and paths.
Result<std::string> text_at(std::span<const std::byte> bytes, std::string_view what) {
  std::string text(bytes.size(), '\0');
  std::transform(bytes.begin(), bytes.end(), text.begin(),
                 [](std::byte byte) { return static_cast<char>(byte); });
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (!plain) return fail(ErrorKind::kInvalid, "the {} has control characters in it", what);
  return text;
}

Result<void> read_backing_file(std::span<const std::byte> bytes, Header& header) {
  const auto offset = load<std::uint64_t>(bytes, 8);
  const auto length = load<std::uint32_t>(bytes, 16);
  if (offset == 0 || length == 0) return {};
  if (length > kMostBackingName || offset > bytes.size() || length > bytes.size() - offset) {
    return fail(ErrorKind::kInvalid,
                "the name of the backing file ({} bytes at {:#x}) is not inside the first cluster",
                length, offset);
  }
  MOTE_TRY(header.backing_file, text_at(bytes.subspan(offset, length), "backing file's name"));
  return {};
}

Result<void> read_extensions(std::span<const std::byte> bytes, std::size_t at, Header& header) {
  while (bytes.size() - at >= 8) {
    const auto type = load<std::uint32_t>(bytes, at);
    const auto length = load<std::uint32_t>(bytes, at + 4);
    at += 8;
    if (type == kEndExtension) return {};
    if (length > bytes.size() - at) {
      return fail(ErrorKind::kInvalid, "a header extension ({:#x}) passes the first cluster", type);
    }
    if (type == kDataFileExtension) {
      return fail(ErrorKind::kUnsupported,
                  "the image names an external data file, which is not supported");
    }
    if (type == kBackingFormatExtension) {
      MOTE_TRY(header.backing_format, text_at(bytes.subspan(at, length), "backing file's format"));
    }
    at = std::min(bytes.size(), at + (std::size_t{length} + 7) / 8 * 8);
  }
  return {};
}

// What version 3 has more; `room` is the header's length.
Result<std::size_t> read_v3(std::span<const std::byte> bytes, Header& header) {
  if (bytes.size() < kHeaderV3) return fail(ErrorKind::kInvalid, "the image ends in its header");
  const auto length = load<std::uint32_t>(bytes, 100);
  if (length < kHeaderV3 || length % 8 != 0 || length > bytes.size()) {
    return fail(ErrorKind::kInvalid, "the header says that it has {} bytes", length);
  }
  header.incompatible = load<std::uint64_t>(bytes, 72);
  header.autoclear = load<std::uint64_t>(bytes, kAutoclearField);
  header.refcount_order = load<std::uint32_t>(bytes, 96);
  MOTE_CHECK(check_features(header.incompatible));
  if (header.refcount_order > kMostRefcountOrder) {
    return fail(ErrorKind::kInvalid, "refcounts have 2^{} bits; 2^{} are the most",
                header.refcount_order, kMostRefcountOrder);
  }
  const unsigned type =
      length > kCompressionField ? std::to_integer<unsigned>(bytes[kCompressionField]) : 0;
  const bool other = (header.incompatible >> kCompressionTypeBit & 1) != 0;
  if (other != (type != 0)) {
    return fail(ErrorKind::kInvalid,
                "the compression type is {}, which does not fit the feature bits", type);
  }
  if (type > 1) {
    return fail(ErrorKind::kUnsupported,
                "the image has compression type {}; 0 (zlib) and 1 (zstd) are supported", type);
  }
  header.zstd = type == 1;
  return length;
}

Result<unsigned> read_cluster_bits(std::span<const std::byte> bytes) {
  if (bytes.size() < 24 || load<std::uint32_t>(bytes, 0) != kMagic) {
    return fail(ErrorKind::kInvalid, "it is no qcow2 image: it does not begin with \"QFI\\xfb\"");
  }
  const auto version = load<std::uint32_t>(bytes, 4);
  if (version != 2 && version != 3) {
    return fail(ErrorKind::kUnsupported, "it is qcow version {}; 2 and 3 are supported", version);
  }
  const auto bits = load<std::uint32_t>(bytes, 20);
  if (bits < kLeastClusterBits || bits > kMostClusterBits) {
    return fail(ErrorKind::kInvalid, "it has clusters of 2^{} bytes; 2^{} to 2^{} are possible",
                bits, kLeastClusterBits, kMostClusterBits);
  }
  return bits;
}

}  // namespace

Result<std::uint64_t> header_room(std::span<const std::byte> start) {
  MOTE_TRY(const unsigned bits, read_cluster_bits(start));
  return std::uint64_t{1} << bits;
}

Result<Header> parse_header(std::span<const std::byte> bytes, std::uint64_t file_size) {
  Header header;
  MOTE_TRY(header.cluster_bits, read_cluster_bits(bytes));
  if (bytes.size() < kHeaderV2) return fail(ErrorKind::kInvalid, "the image ends in its header");
  header.version = load<std::uint32_t>(bytes, 4);
  header.size = load<std::uint64_t>(bytes, 24);
  if (const auto method = load<std::uint32_t>(bytes, 32); method != 0) {
    return fail(ErrorKind::kUnsupported, "the image is encrypted ({}), which is not supported",
                method == 1   ? "AES"
                : method == 2 ? "LUKS"
                              : "by an unknown method");
  }
  header.l1_entries = load<std::uint32_t>(bytes, 36);
  header.l1_offset = load<std::uint64_t>(bytes, 40);
  header.refcount_table_offset = load<std::uint64_t>(bytes, kRefcountTableField);
  header.refcount_table_clusters = load<std::uint32_t>(bytes, kRefcountTableField + 8);
  header.snapshots = load<std::uint32_t>(bytes, 60);
  header.snapshots_offset = load<std::uint64_t>(bytes, 64);
  std::size_t length = kHeaderV2;
  if (header.version == 3) {
    MOTE_TRY(length, read_v3(bytes, header));
  }
  MOTE_CHECK(check_l1(header, file_size));
  MOTE_CHECK(check_refcounts(header, file_size));
  MOTE_CHECK(check_snapshots(header, file_size));
  MOTE_CHECK(read_backing_file(bytes, header));
  MOTE_CHECK(read_extensions(bytes, length, header));
  return header;
}

}  // namespace mote::storage::qcow2

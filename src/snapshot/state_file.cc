#include "snapshot/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/checksum.h"
#include "base/file.h"
#include "base/json.h"
#include "base/unique_fd.h"

namespace mote::snapshot {
namespace {

constexpr std::string_view kMagic =
    "mote\x1a\nstate\n";  // no text, and damaged by what converts text
// Firecracker's state files begin with a number whose lower half is the processor's.
constexpr std::uint64_t kFirecrackerMagic = 0x0710'1984'0000'0000;
constexpr std::size_t kFirecrackerPlaces = 16;

// As it lies in the file, little-endian; what is free is 0.
struct RawHeader {
  char magic[12];
  std::uint32_t header_size;
  std::uint32_t major;
  std::uint32_t minor;
  std::uint32_t architecture;
  std::uint32_t free;
  std::uint64_t body_size;
  std::uint64_t body_checksum;
  std::uint64_t created;
  char maker[kMaxMaker];
  std::byte id[16];
  std::uint64_t header_checksum;  // of all before it
};
static_assert(sizeof(RawHeader) == kHeaderSize && kMagic.size() == sizeof(RawHeader::magic));

std::uint64_t header_checksum(const RawHeader& raw) {
  return checksum(std::as_bytes(std::span(&raw, 1)).first(offsetof(RawHeader, header_checksum)));
}

// The magic need not be the first thing, as the form before it has changed before.
bool is_firecrackers(std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at < kFirecrackerPlaces && at + 8 <= bytes.size(); ++at) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    if ((value & ~std::uint64_t{0xffff'ffff}) == kFirecrackerMagic) return true;
  }
  return false;
}

}  // namespace

std::string architecture_name(std::uint32_t architecture) {
  if (architecture == kArchitectureX86_64) return "x86_64";
  if (architecture == kArchitectureAarch64) return "aarch64";
  return fmt::format("architecture {}", architecture);
}

std::string version_text(std::uint32_t major, std::uint32_t minor) {
  return fmt::format("{}.{}.0", major, minor);
}

std::vector<std::byte> make_state_file(Header header, std::span<const std::byte> body) {
  RawHeader raw{};
  std::memcpy(raw.magic, kMagic.data(), kMagic.size());
  raw.header_size = kHeaderSize;
  raw.major = header.major;
  raw.minor = header.minor;
  raw.architecture = header.architecture;
  raw.body_checksum = checksum(body);
  raw.body_size = body.size();
  raw.created = header.created;
  std::memcpy(raw.maker, header.maker.data(), std::min(header.maker.size(), kMaxMaker));
  std::ranges::copy(header.id, raw.id);
  raw.header_checksum = header_checksum(raw);
  const auto head = std::as_bytes(std::span(&raw, 1));
  std::vector<std::byte> file(head.begin(), head.end());
  file.insert(file.end(), body.begin(), body.end());
  return file;
}

Result<Header> read_header(std::span<const std::byte> bytes) {
  if (is_firecrackers(bytes)) {
    return fail(ErrorKind::kUnsupported,
                "it is a state file of Firecracker's own, which no other monitor reads: its "
                "snapshot must be loaded there");
  }
  RawHeader raw{};
  const std::size_t there = std::min(bytes.size(), sizeof raw);
  if (there > 0) std::memcpy(&raw, bytes.data(), there);
  if (there < kMagic.size() || std::string_view(raw.magic, kMagic.size()) != kMagic) {
    return fail(ErrorKind::kInvalid, "it is no state file: it does not begin as one");
  }
  if (there < sizeof raw) {
    return fail(ErrorKind::kInvalid, "it is cut off within its header, after {} bytes", there);
  }
  if (raw.header_checksum != header_checksum(raw) || raw.header_size != kHeaderSize) {
    return fail(ErrorKind::kInvalid, "its header is damaged: the checksum is another");
  }
  Header header{.major = raw.major,
                .minor = raw.minor,
                .architecture = raw.architecture,
                .maker = std::string(raw.maker, ::strnlen(raw.maker, kMaxMaker)),
                .created = raw.created,
                .body_size = raw.body_size,
                .body_checksum = raw.body_checksum};
  std::ranges::copy(raw.id, header.id.begin());
  return header;
}

Result<StateFile> read_state_file(std::span<const std::byte> bytes) {
  MOTE_TRY(Header header, read_header(bytes));
  if (header.major != kFormatMajor) {
    return fail(ErrorKind::kUnsupported,
                "it is of format {}, made by {}; this mote reads format {}, minor ones too",
                version_text(header.major, header.minor), json::quote(header.maker),
                version_text(kFormatMajor, kFormatMinor));
  }
  if (header.architecture != kArchitectureX86_64) {
    return fail(ErrorKind::kUnsupported, "it is of a machine of {}, and this host is {}",
                architecture_name(header.architecture), architecture_name(kArchitectureX86_64));
  }
  const std::span<const std::byte> body = bytes.subspan(kHeaderSize);
  if (body.size() != header.body_size) {
    return fail(ErrorKind::kInvalid, "it is not whole: {} bytes follow its header, and it says {}",
                body.size(), header.body_size);
  }
  if (checksum(body) != header.body_checksum) {
    return fail(ErrorKind::kInvalid, "it is damaged: its checksum is another");
  }
  return StateFile{.header = std::move(header), .body = body};
}

Result<std::string> read_bytes_of(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "{} is no path of a file", json::quote(path));
  }
  // Non-blocking, so that a FIFO which nobody writes to is found to be one.
  MOTE_TRY(const UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK));
  return read_bytes_of(fd.get(), json::quote(path));
}

Result<std::string> read_bytes_of(int fd, const std::string& name) {
  struct stat facts{};
  if (!look_at(fd, facts)) return fail_errno(errno, "look at {}", name);
  if (!S_ISREG(facts.st_mode)) return fail(ErrorKind::kInvalid, "{} is no regular file", name);
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  if (size > kMaxStateFile) {
    return fail(ErrorKind::kInvalid, "{}: more than {} bytes, which is the most that is read", name,
                kMaxStateFile);
  }
  std::string text(size, '\0');
  auto count = read_at(fd, std::as_writable_bytes(std::span(text)), 0);
  if (!count) return std::unexpected(std::move(count.error()).within(name));
  text.resize(*count);
  return text;
}

}  // namespace mote::snapshot

#include "engine/cpio.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <iterator>

namespace mote::engine {
namespace {

constexpr std::string_view kMagic = "070701";
constexpr std::string_view kTrailer = "TRAILER!!!";
constexpr std::size_t kAlignment = 4;

}  // namespace

void CpioWriter::header(const Entry& entry) {
  const bool trailer = entry.path == kTrailer;
  const std::uint32_t inode = trailer ? 0 : next_inode_++;
  const unsigned links = S_ISDIR(entry.mode) ? 2 : 1;
  // inode, mode, uid, gid, links, mtime, size, device of the file, device it is, name's size with
  // its NUL, checksum (of another form).
  fmt::format_to(std::back_inserter(archive_),
                 "{}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
                 kMagic, inode, entry.mode, 0, 0, links, 0, entry.size, 0, 0, entry.major,
                 entry.minor, entry.path.size() + 1, 0);
  archive_ += entry.path;
  archive_ += '\0';
  pad();
}

void CpioWriter::pad() {
  archive_.append((kAlignment - archive_.size() % kAlignment) % kAlignment, '\0');
}

void CpioWriter::directory(std::string_view path, mode_t permissions) {
  header({.path = path, .mode = S_IFDIR | permissions});
}

void CpioWriter::file(std::string_view path, mode_t permissions,
                      std::span<const std::byte> content) {
  header({.path = path,
          .mode = S_IFREG | permissions,
          .size = static_cast<std::uint32_t>(content.size())});
  archive_.append(reinterpret_cast<const char*>(content.data()), content.size());
  pad();
}

void CpioWriter::character_device(std::string_view path, mode_t permissions, unsigned major,
                                  unsigned minor) {
  header({.path = path, .mode = S_IFCHR | permissions, .major = major, .minor = minor});
}

std::string CpioWriter::take() && {
  header({.path = kTrailer});
  return std::move(archive_);
}

}  // namespace mote::engine

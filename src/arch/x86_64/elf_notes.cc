#include "arch/x86_64/elf_notes.h"

#include <elf.h>

#include <cstring>
#include <string_view>

namespace mote::arch {
namespace {

// From Xen's public/elfnote.h: the guest's 32-bit physical entry.
constexpr std::uint32_t kXenNotePhys32Entry = 18;
constexpr std::string_view kXenName("Xen\0", 4);

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

Result<std::uint64_t> read_entry(std::span<const std::byte> descriptor) {
  std::uint64_t entry = 0;
  if (descriptor.size() != sizeof(std::uint32_t) && descriptor.size() != sizeof(std::uint64_t)) {
    return fail(ErrorKind::kInvalid, "its note of the PVH entry has {} bytes; 4 or 8 are meant",
                descriptor.size());
  }
  std::memcpy(&entry, descriptor.data(), descriptor.size());
  if (entry > UINT32_MAX) {
    return fail(ErrorKind::kInvalid, "its PVH entry {:#x} is no 32-bit address", entry);
  }
  return entry;
}

}  // namespace

Result<std::optional<std::uint64_t>> find_pvh_entry(std::span<const std::byte> bytes,
                                                    std::uint64_t alignment) {
  // Offsets cannot overflow: each part of a note is below 4 GiB, and `at` never passes the end.
  std::uint64_t at = 0;
  while (bytes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, bytes.data() + at, sizeof note);
    const std::uint64_t name = at + sizeof note;
    const std::uint64_t descriptor = round_up(name + note.n_namesz, alignment);
    const std::uint64_t end = descriptor + note.n_descsz;
    if (end > bytes.size()) {
      return fail(ErrorKind::kInvalid,
                  "its note at offset {} of a note segment of {} bytes ends at {}", at,
                  bytes.size(), end);
    }
    const std::string_view owner(reinterpret_cast<const char*>(bytes.data() + name), note.n_namesz);
    if (note.n_type == kXenNotePhys32Entry && owner == kXenName) {
      MOTE_TRY(const std::uint64_t entry, read_entry(bytes.subspan(descriptor, note.n_descsz)));
      return std::optional(entry);
    }
    at = std::min<std::uint64_t>(round_up(end, alignment), bytes.size());
  }
  return std::optional<std::uint64_t>();
}

}  // namespace mote::arch

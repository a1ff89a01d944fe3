// What the tests of this room share: guest memory, files made of bytes, and ELF files made of
// segments, each field of which a test may spoil.
#pragma once

#include <elf.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arch/x86_64/bytes.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "memory/guest_memory.h"

namespace mote::arch {

inline constexpr std::uint64_t kTestMiB = 1 << 20;

// Fresh guest memory of `size` bytes, laid out as a machine's.
memory::GuestMemory make_memory(std::uint64_t size);
// Pages of it that the host has given memory to.
std::size_t touched_pages(const memory::GuestMemory& memory);
// Whether huge pages were asked for behind this address.
bool prefers_huge_pages(const memory::GuestMemory& memory, std::uint64_t address);
Bytes read_guest(const memory::GuestMemory& memory, std::uint64_t address, std::size_t length);

// A memfd with these bytes.
UniqueFd make_file(std::span<const std::uint8_t> content);

// One ELF note; `padding` bytes follow name and descriptor up to `alignment`.
Bytes make_note(std::string_view name, std::uint32_t type, const Bytes& descriptor,
                std::size_t alignment = 4);
Bytes bytes_of(std::uint32_t value);
Bytes bytes_of(std::uint64_t value);

// An ELF kernel: headers in the first page, the segments' bytes behind.
class ElfFile {
 public:
  ElfFile();
  // Adds a segment; returns its header, for a test to spoil until the next call.
  Elf64_Phdr& add_segment(std::uint64_t address, const Bytes& content, std::uint64_t memory_size);
  Elf64_Phdr& add_notes(const Bytes& notes);
  Elf64_Phdr& segment(std::size_t index) { return segments_.at(index); }
  Elf64_Ehdr& header() { return header_; }
  Bytes build() const;

 private:
  Elf64_Phdr& add(std::uint32_t type, std::uint64_t address, const Bytes& content,
                  std::uint64_t memory_size);

  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> segments_;
  Bytes content_;
};

// A small good kernel: one segment at 1 MiB with 64 bytes of file and a page of memory, entered at
// its start through the 64-bit entry, and at 1 MiB + 16 through PVH where `pvh`.
ElfFile make_elf(bool pvh);

// The message of a result that must be an error.
template <typename T>
std::string error_of(const Result<T>& result) {
  return result ? std::string("(no error)") : result.error().text();
}

}  // namespace mote::arch

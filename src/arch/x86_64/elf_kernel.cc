#include "arch/x86_64/elf_kernel.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "arch/x86_64/elf_notes.h"
#include "arch/x86_64/placement.h"

namespace mote::arch {
namespace {

// A kernel has under ten program headers. This bounds what a hostile file makes us read.
constexpr unsigned kMaxProgramHeaders = 256;
constexpr std::uint64_t kMaxNoteSize = 1 << 20;

Result<Elf64_Ehdr> read_header(const KernelFile& file) {
  Elf64_Ehdr header{};
  MOTE_CHECK(file.read(0, std::as_writable_bytes(std::span(&header, 1)), "the ELF header"));
  if (header.e_ident[EI_CLASS] != ELFCLASS64) {
    return fail(ErrorKind::kInvalid, "it is no 64-bit ELF file (class {}, where {} is meant)",
                header.e_ident[EI_CLASS], ELFCLASS64);
  }
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return fail(ErrorKind::kInvalid, "it is no little-endian ELF file (encoding {})",
                header.e_ident[EI_DATA]);
  }
  if (header.e_machine != EM_X86_64) {
    return fail(ErrorKind::kInvalid, "it is made for ELF machine {}, not for x86-64 ({})",
                header.e_machine, EM_X86_64);
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return fail(ErrorKind::kInvalid, "it is no ELF executable (type {})", header.e_type);
  }
  return header;
}

Result<std::vector<Elf64_Phdr>> read_program_headers(const KernelFile& file,
                                                     const Elf64_Ehdr& header) {
  if (header.e_phnum == 0 || header.e_phnum > kMaxProgramHeaders) {
    return fail(ErrorKind::kInvalid, "it has {} program headers; a kernel has 1 to {}",
                header.e_phnum, kMaxProgramHeaders);
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    return fail(ErrorKind::kInvalid, "its program headers have {} bytes each; {} are meant",
                header.e_phentsize, sizeof(Elf64_Phdr));
  }
  std::vector<Elf64_Phdr> headers(header.e_phnum);
  MOTE_CHECK(file.read(header.e_phoff, std::as_writable_bytes(std::span(headers)),
                       "the table of program headers"));
  return headers;
}

Result<void> check_segment(const KernelFile& file, const Elf64_Phdr& segment) {
  if (segment.p_filesz > segment.p_memsz) {
    return fail(ErrorKind::kInvalid,
                "its segment at {:#x} has {} bytes in the file, more than its {} in memory",
                segment.p_paddr, segment.p_filesz, segment.p_memsz);
  }
  if (!file.holds(segment.p_offset, segment.p_filesz)) {
    return fail(ErrorKind::kInvalid,
                "the file is truncated: its segment at {:#x} should take {} bytes at offset {}, "
                "and the file has {}",
                segment.p_paddr, segment.p_filesz, segment.p_offset, file.size);
  }
  return {};
}

// Loads every segment, after all of them were found good; their ranges.
Result<std::vector<memory::Range>> load_segments(const memory::GuestMemory& memory,
                                                 const KernelFile& file,
                                                 std::span<const Elf64_Phdr> headers) {
  std::vector<memory::Range> ranges;
  const auto loaded = [](const Elf64_Phdr& segment) {
    return segment.p_type == PT_LOAD && segment.p_memsz > 0;
  };
  for (const Elf64_Phdr& segment : headers) {
    if (!loaded(segment)) continue;
    MOTE_CHECK(check_segment(file, segment));
    MOTE_CHECK(
        claim_for_kernel(memory, {.start = segment.p_paddr, .size = segment.p_memsz}, ranges));
  }
  if (ranges.empty()) return fail(ErrorKind::kInvalid, "it has no segment to load");
  prepare_to_fill(memory, ranges);
  for (const Elf64_Phdr& segment : headers) {
    if (!loaded(segment)) continue;
    MOTE_CHECK(memory.load_file(segment.p_paddr, segment.p_filesz, file.fd, segment.p_offset));
  }
  return ranges;
}

Result<std::optional<std::uint64_t>> pvh_entry(const KernelFile& file,
                                               std::span<const Elf64_Phdr> headers) {
  for (const Elf64_Phdr& segment : headers) {
    if (segment.p_type != PT_NOTE || segment.p_filesz == 0) continue;
    if (segment.p_filesz > kMaxNoteSize) {
      return fail(ErrorKind::kInvalid, "it has {} bytes of notes; a kernel has at most {}",
                  segment.p_filesz, kMaxNoteSize);
    }
    std::vector<std::byte> notes(segment.p_filesz);
    MOTE_CHECK(file.read(segment.p_offset, notes, "a note segment"));
    // Alignments 0 and 1 stand for 4 (gABI, "Note Section").
    MOTE_TRY(const auto entry, find_pvh_entry(notes, segment.p_align == 8 ? 8 : 4));
    if (entry) return entry;
  }
  return std::optional<std::uint64_t>();
}

// Code to enter must come from the file: what lies behind a segment's file bytes is zero.
Result<void> check_entry(std::span<const Elf64_Phdr> headers, std::uint64_t entry) {
  const bool inside = std::ranges::any_of(headers, [&](const Elf64_Phdr& segment) {
    return segment.p_type == PT_LOAD && entry >= segment.p_paddr &&
           entry - segment.p_paddr < segment.p_filesz;
  });
  if (inside) return {};
  return fail(ErrorKind::kInvalid, "its entry {:#x} lies in none of its loaded segments", entry);
}

}  // namespace

Result<LoadedKernel> load_elf_kernel(const memory::GuestMemory& memory, const KernelFile& file,
                                     BootProtocolChoice choice) {
  MOTE_TRY(const Elf64_Ehdr header, read_header(file));
  MOTE_TRY(const auto headers, read_program_headers(file, header));
  LoadedKernel kernel{.protocol = BootProtocol::kLinux64, .entry = header.e_entry};
  if (choice != BootProtocolChoice::kLinux64) {
    MOTE_TRY(const auto entry, pvh_entry(file, headers));
    if (entry) {
      kernel.protocol = BootProtocol::kPvh;
      kernel.entry = *entry;
    } else if (choice == BootProtocolChoice::kPvh) {
      return fail(ErrorKind::kInvalid,
                  "it has no PVH entry (a Xen note of type 18; CONFIG_PVH of Linux makes it); "
                  "the protocol linux64 needs none");
    }
  }
  MOTE_CHECK(check_entry(headers, kernel.entry));
  MOTE_TRY(kernel.ranges, load_segments(memory, file, headers));
  return kernel;
}

}  // namespace mote::arch

#include "arch/support.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "arch/x86_64/memory_map.h"
#include "smaps.h"

namespace mote::arch {
namespace {

constexpr std::size_t kContentOffset = 4096;
constexpr std::uint32_t kPvhNote = 18;

// Tests have nothing to say where the host itself fails.
template <typename T>
T must(Result<T> result) {
  if (!result) std::abort();
  return std::move(*result);
}

}  // namespace

memory::GuestMemory make_memory(std::uint64_t size) {
  return must(memory::GuestMemory::create({.ranges = must(memory_ranges(size, 46))}));
}

std::size_t touched_pages(const memory::GuestMemory& memory) {
  std::size_t count = 0;
  for (const memory::RegionView& region : memory.regions()) {
    std::vector<unsigned char> resident(region.range.size / memory::kPageSize);
    if (::mincore(reinterpret_cast<void*>(region.host_address), region.range.size,
                  resident.data()) < 0) {
      std::abort();
    }
    count += static_cast<std::size_t>(
        std::ranges::count_if(resident, [](unsigned char page) { return (page & 1) != 0; }));
  }
  return count;
}

bool prefers_huge_pages(const memory::GuestMemory& memory, std::uint64_t address) {
  const std::uintptr_t host = memory.regions().front().host_address + address;
  return test::vm_flags(host).contains(" hg ");
}

Bytes read_guest(const memory::GuestMemory& memory, std::uint64_t address, std::size_t length) {
  Bytes bytes(length);
  if (!memory.read(address, std::as_writable_bytes(std::span(bytes)))) std::abort();
  return bytes;
}

UniqueFd make_file(std::span<const std::uint8_t> content) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  if (!write_at(fd.get(), std::as_bytes(content), 0)) std::abort();
  return fd;
}

Bytes bytes_of(std::uint32_t value) {
  Bytes bytes;
  append(bytes, value);
  return bytes;
}

Bytes bytes_of(std::uint64_t value) {
  Bytes bytes;
  append(bytes, value);
  return bytes;
}

Bytes make_note(std::string_view name, std::uint32_t type, const Bytes& descriptor,
                std::size_t alignment) {
  const auto pad = [alignment](Bytes& bytes) {
    while (bytes.size() % alignment != 0) bytes.push_back(0);
  };
  Bytes bytes;
  append(bytes, static_cast<std::uint32_t>(name.size() + 1));
  append(bytes, static_cast<std::uint32_t>(descriptor.size()));
  append(bytes, type);
  append_text(bytes, name, name.size());
  bytes.push_back(0);
  pad(bytes);
  append(bytes, descriptor);
  pad(bytes);
  return bytes;
}

ElfFile::ElfFile() {
  std::ranges::copy(std::string_view(ELFMAG), header_.e_ident);
  header_.e_ident[EI_CLASS] = ELFCLASS64;
  header_.e_ident[EI_DATA] = ELFDATA2LSB;
  header_.e_ident[EI_VERSION] = EV_CURRENT;
  header_.e_type = ET_EXEC;
  header_.e_machine = EM_X86_64;
  header_.e_version = EV_CURRENT;
  header_.e_phoff = sizeof(Elf64_Ehdr);
  header_.e_ehsize = sizeof(Elf64_Ehdr);
  header_.e_phentsize = sizeof(Elf64_Phdr);
}

Elf64_Phdr& ElfFile::add(std::uint32_t type, std::uint64_t address, const Bytes& content,
                         std::uint64_t memory_size) {
  Elf64_Phdr segment{};
  segment.p_type = type;
  segment.p_offset = kContentOffset + content_.size();
  segment.p_paddr = address;
  segment.p_vaddr = address;
  segment.p_filesz = content.size();
  segment.p_memsz = memory_size;
  segment.p_align = 4;
  append(content_, content);
  header_.e_phnum += 1;
  segments_.push_back(segment);
  return segments_.back();
}

Elf64_Phdr& ElfFile::add_segment(std::uint64_t address, const Bytes& content,
                                 std::uint64_t memory_size) {
  return add(PT_LOAD, address, content, memory_size);
}

Elf64_Phdr& ElfFile::add_notes(const Bytes& notes) { return add(PT_NOTE, 0, notes, notes.size()); }

Bytes ElfFile::build() const {
  Bytes file(kContentOffset);
  std::memcpy(file.data(), &header_, sizeof header_);
  std::memcpy(file.data() + sizeof header_, segments_.data(),
              segments_.size() * sizeof(Elf64_Phdr));
  append(file, content_);
  return file;
}

ElfFile make_elf(bool pvh) {
  ElfFile elf;
  Bytes code(64);
  std::ranges::generate(code, [value = std::uint8_t{1}]() mutable { return value++; });
  elf.add_segment(kTestMiB, code, 4096);
  elf.header().e_entry = kTestMiB;
  if (pvh) elf.add_notes(make_note("Xen", kPvhNote, bytes_of(std::uint32_t{kTestMiB + 16})));
  return elf;
}

}  // namespace mote::arch

// A kernel's file, ELF or bzImage, and an initrd beside it: all that is done to memory before the
// guest starts. The last byte of the input chooses the protocol and whether there is an initrd.
#include <asm/bootparam.h>
#include <elf.h>
#include <sys/mman.h>

#include <cstring>

#include "arch/x86_64/boot.h"
#include "arch/x86_64/bzimage.h"
#include "arch/x86_64/memory_map.h"
#include "base/unique_fd.h"
#include "fuzz/target.h"

namespace mote::fuzz {
namespace {

constexpr std::uint64_t kMemorySize = 32 << 20;

UniqueFd file_of(std::span<const std::uint8_t> content) {
  UniqueFd fd(::memfd_create("fuzz", MFD_CLOEXEC));
  require(fd && write_at(fd.get(), std::as_bytes(content), 0).has_value(), "there is a file");
  return fd;
}

const memory::GuestMemory& guest_memory() {
  static const memory::GuestMemory memory = [] {
    auto ranges = arch::memory_ranges(kMemorySize, 40);
    require(ranges.has_value(), "memory has ranges");
    auto made = memory::GuestMemory::create({.ranges = std::move(*ranges)});
    require(made.has_value(), "there is memory");
    return std::move(*made);
  }();
  return memory;
}

std::string elf_seed(bool pvh) {
  constexpr std::uint32_t kEntryNote = 18;
  constexpr std::uint64_t kLoadAt = 1 << 20;
  struct Note {
    Elf64_Nhdr header;
    char name[4];
    std::uint32_t entry;
  };
  struct File {
    Elf64_Ehdr header;
    Elf64_Phdr segments[2];
    Note note;
    std::uint8_t code[16];
  } file{};
  std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
  file.header.e_ident[EI_CLASS] = ELFCLASS64;
  file.header.e_ident[EI_DATA] = ELFDATA2LSB;
  file.header.e_type = ET_EXEC;
  file.header.e_machine = EM_X86_64;
  file.header.e_phoff = offsetof(File, segments);
  file.header.e_phentsize = sizeof(Elf64_Phdr);
  file.header.e_phnum = pvh ? 2 : 1;
  file.header.e_entry = kLoadAt;
  file.segments[0] = {.p_type = PT_LOAD,
                      .p_flags = 5,
                      .p_offset = offsetof(File, code),
                      .p_vaddr = kLoadAt,
                      .p_paddr = kLoadAt,
                      .p_filesz = sizeof file.code,
                      .p_memsz = 4096,
                      .p_align = 4};
  file.segments[1] = {.p_type = PT_NOTE,
                      .p_flags = 4,
                      .p_offset = offsetof(File, note),
                      .p_vaddr = 0,
                      .p_paddr = 0,
                      .p_filesz = sizeof file.note,
                      .p_memsz = sizeof file.note,
                      .p_align = 4};
  file.note = {.header = {.n_namesz = 4, .n_descsz = 4, .n_type = kEntryNote},
               .name = {'X', 'e', 'n', 0},
               .entry = kLoadAt};
  return {reinterpret_cast<const char*>(&file), sizeof file};
}

std::string bzimage_seed() {
  constexpr std::size_t kKernelSize = 0x400;
  setup_header header{};
  header.setup_sects = 1;
  header.syssize = kKernelSize / 16;
  header.boot_flag = 0xaa55;
  header.jump = 0x66eb;  // with the header's length
  header.header = 0x53726448;
  header.version = 0x020f;
  header.loadflags = LOADED_HIGH;
  header.xloadflags = XLF_KERNEL_64;
  header.kernel_alignment = 0x200000;
  header.relocatable_kernel = 1;
  header.pref_address = 0x1000000;
  header.init_size = 0x100000;
  header.cmdline_size = 2047;
  header.initrd_addr_max = 0x7fffffff;
  std::string file(1024 + kKernelSize, '\x90');
  std::memcpy(file.data() + arch::kSetupHeaderOffset, &header, sizeof header);
  return file;
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  const std::uint8_t choice = bytes.back();
  bytes = bytes.first(bytes.size() - 1);
  const UniqueFd kernel = file_of(bytes);
  arch::BootInputs inputs;
  inputs.kernel = {.fd = kernel.get(), .name = "kernel"};
  inputs.protocol = static_cast<arch::BootProtocolChoice>(choice % 3);
  inputs.cpus = 1 + choice % 32;
  UniqueFd initrd;
  if ((choice & 0x80) != 0) {
    initrd = file_of(bytes);
    inputs.initrd = arch::BootFile{.fd = initrd.get(), .name = "initrd"};
  }
  const auto state = arch::prepare_boot(guest_memory(), inputs);
  if (!state) return require(!state.error().text().empty(), "an error says what is wrong");
  kvm_regs regs{};
  kvm_sregs sregs{};
  arch::set_boot_registers(*state, regs, sregs);
  require(regs.rip == state->entry, "the guest begins at the kernel's entry");
}

std::vector<std::string> seeds() {
  std::vector<std::string> made;
  for (const std::string& file : {elf_seed(true), elf_seed(false), bzimage_seed()}) {
    for (const char choice : {'\x00', '\x01', '\x02', '\x80'}) made.push_back(file + choice);
  }
  return made;
}

}  // namespace mote::fuzz

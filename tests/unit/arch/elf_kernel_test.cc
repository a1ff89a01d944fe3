// ELF kernels, good and hostile.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cctype>
#include <functional>

#include "arch/support.h"
#include "arch/x86_64/kernel.h"
#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

constexpr std::uint32_t kPvhNote = 18;

Result<LoadedKernel> load(const memory::GuestMemory& memory, const Bytes& content,
                          BootProtocolChoice choice = BootProtocolChoice::kAuto) {
  return load_kernel(memory, make_file(content).get(), choice);
}

Result<LoadedKernel> load(const Bytes& content,
                          BootProtocolChoice choice = BootProtocolChoice::kAuto) {
  return load(make_memory(16 * kTestMiB), content, choice);
}

TEST(ElfKernel, EntersByPvhWhereThereIsANote) {
  const auto kernel = load(make_elf(true).build());
  ASSERT_TRUE(kernel) << error_of(kernel);
  EXPECT_EQ(kernel->protocol, BootProtocol::kPvh);
  EXPECT_EQ(kernel->entry, kTestMiB + 16);
  EXPECT_FALSE(kernel->header);
}

TEST(ElfKernel, EntersBy64BitsWithoutANoteOrWhenToldTo) {
  for (const auto& kernel : {load(make_elf(false).build()),
                             load(make_elf(true).build(), BootProtocolChoice::kLinux64)}) {
    ASSERT_TRUE(kernel) << error_of(kernel);
    EXPECT_EQ(kernel->protocol, BootProtocol::kLinux64);
    EXPECT_EQ(kernel->entry, kTestMiB);
  }
}

TEST(ElfKernel, PvhCannotBeForcedWithoutANote) {
  const auto kernel = load(make_elf(false).build(), BootProtocolChoice::kPvh);
  ASSERT_FALSE(kernel);
  EXPECT_NE(error_of(kernel).find("PVH"), std::string::npos);
}

TEST(ElfKernel, LoadsFileBytesAndTouchesNothingElse) {
  const auto memory = make_memory(16 * kTestMiB);
  ElfFile elf = make_elf(false);
  elf.add_segment(2 * kTestMiB, Bytes(5000, 0xab), kTestMiB);
  ASSERT_TRUE(load(memory, elf.build()));
  const Bytes first = read_guest(memory, kTestMiB, 65);
  EXPECT_EQ(first[0], 1);
  EXPECT_EQ(first[63], 64);
  EXPECT_EQ(first[64], 0);
  EXPECT_EQ(read_guest(memory, 2 * kTestMiB, 5000), Bytes(5000, 0xab));
  EXPECT_EQ(touched_pages(memory), 3U);
}

// As Linux's segments lie: with gaps that are smaller than a huge page between them.
TEST(ElfKernel, WhatItFillsMayHaveHugePages) {
  if (::access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  const auto memory = make_memory(32 * kTestMiB);
  ElfFile elf = make_elf(false);
  elf.add_segment(10 * kTestMiB, Bytes(4096, 2), kTestMiB);
  elf.add_segment(4 * kTestMiB, Bytes(4096, 1), 5 * kTestMiB);
  elf.add_segment(16 * kTestMiB, Bytes(4096, 3), 3 * kTestMiB);
  ASSERT_TRUE(load(memory, elf.build()));
  std::vector<std::uint64_t> huge;
  for (std::uint64_t mib = 0; mib < 32; mib += 2) {
    if (prefers_huge_pages(memory, mib * kTestMiB)) huge.push_back(mib);
  }
  EXPECT_EQ(huge, (std::vector<std::uint64_t>{4, 6, 8, 16}));
}

TEST(ElfKernel, SegmentAboveFourGiBIsMemoryToo) {
  const auto memory = make_memory(4 * layout::kGiB);
  ElfFile elf = make_elf(true);
  elf.add_segment(4 * layout::kGiB + kTestMiB, Bytes(8, 7), 8);
  ASSERT_TRUE(load(memory, elf.build()));
  EXPECT_EQ(read_guest(memory, 4 * layout::kGiB + kTestMiB, 8), Bytes(8, 7));
}

TEST(ElfKernel, EmptyAndOtherSegmentsAreSkipped) {
  ElfFile elf = make_elf(false);
  elf.add_segment(UINT64_MAX, {}, 0);
  elf.add_segment(UINT64_MAX, Bytes(4), 4).p_type = PT_GNU_STACK;
  EXPECT_TRUE(load(elf.build()));
}

// Notes: others before it, names and descriptors that need padding, alignment 4 and 8, an entry of
// 4 and of 8 bytes.
TEST(ElfNotes, EntryIsFoundBehindOtherNotes) {
  for (const std::size_t alignment : {4UZ, 8UZ}) {
    for (const Bytes& entry :
         {bytes_of(std::uint32_t{kTestMiB + 8}), bytes_of(std::uint64_t{kTestMiB + 8})}) {
      ElfFile elf = make_elf(false);
      Bytes notes;
      append(notes, make_note("GNU", 3, Bytes(20, 1), alignment));
      append(notes, make_note("Linux", kPvhNote, Bytes(31, 2), alignment));
      append(notes, make_note("Xen", 6, Bytes(5, 3), alignment));
      append(notes, make_note("", 7, {}, alignment));
      append(notes, make_note("Xen", kPvhNote, entry, alignment));
      elf.add_notes(notes).p_align = alignment;
      const auto kernel = load(elf.build());
      ASSERT_TRUE(kernel) << error_of(kernel);
      EXPECT_EQ(kernel->protocol, BootProtocol::kPvh);
      EXPECT_EQ(kernel->entry, kTestMiB + 8);
    }
  }
}

TEST(ElfNotes, LastNoteNeedsNoPaddingAndScrapsBehindItAreNone) {
  ElfFile elf = make_elf(false);
  Bytes notes = make_note("Xen", 6, Bytes(5, 3));
  notes.resize(notes.size() - 3);
  elf.add_notes(notes);
  Bytes scrap = make_note("Xen", 6, Bytes(4, 3));
  scrap.resize(scrap.size() + 11);
  elf.add_notes(scrap);
  const auto kernel = load(elf.build());
  ASSERT_TRUE(kernel) << error_of(kernel);
  EXPECT_EQ(kernel->protocol, BootProtocol::kLinux64);
}

struct Hostile {
  const char* what;
  std::function<void(ElfFile&)> spoil;  // make_elf(true): segment 0 at 1 MiB, segment 1 notes
  const char* message;                  // part of it
};

class HostileElf : public testing::TestWithParam<Hostile> {};

TEST_P(HostileElf, IsRefusedBeforeAnythingIsLoaded) {
  ElfFile elf = make_elf(true);
  GetParam().spoil(elf);
  const auto memory = make_memory(16 * kTestMiB);
  const auto kernel = load(memory, elf.build());
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kInvalid);
  EXPECT_NE(error_of(kernel).find(GetParam().message), std::string::npos) << error_of(kernel);
  EXPECT_EQ(touched_pages(memory), 0U);
}

Bytes note_of(std::uint32_t name_size, std::uint32_t descriptor_size, std::size_t total) {
  Bytes bytes = bytes_of(name_size);
  append(bytes, bytes_of(descriptor_size));
  append(bytes, bytes_of(kPvhNote));
  bytes.resize(total);
  return bytes;
}

const Hostile kHostile[] = {
    {"32-bit", [](ElfFile& e) { e.header().e_ident[EI_CLASS] = ELFCLASS32; }, "64-bit ELF"},
    {"big-endian", [](ElfFile& e) { e.header().e_ident[EI_DATA] = ELFDATA2MSB; }, "little-endian"},
    {"arm64", [](ElfFile& e) { e.header().e_machine = EM_AARCH64; }, "machine 183"},
    {"object file", [](ElfFile& e) { e.header().e_type = ET_REL; }, "executable"},
    {"no headers", [](ElfFile& e) { e.header().e_phnum = 0; }, "0 program headers"},
    {"many headers", [](ElfFile& e) { e.header().e_phnum = 65535; }, "65535 program headers"},
    {"more headers than the file holds", [](ElfFile& e) { e.header().e_phnum = 250; }, "truncated"},
    {"headers' size", [](ElfFile& e) { e.header().e_phentsize = 55; }, "55 bytes each"},
    {"headers past the end", [](ElfFile& e) { e.header().e_phoff = 1 << 20; }, "truncated"},
    {"headers overflow", [](ElfFile& e) { e.header().e_phoff = UINT64_MAX - 8; }, "truncated"},
    {"nothing to load", [](ElfFile& e) { e.segment(0).p_type = PT_NULL; }, "none of its loaded"},
    {"more in the file", [](ElfFile& e) { e.segment(0).p_memsz = 63; }, "more than its 63"},
    {"truncated", [](ElfFile& e) { e.segment(0).p_offset = 4096 + 80; }, "truncated"},
    {"file offset overflows", [](ElfFile& e) { e.segment(0).p_offset = UINT64_MAX - 8; },
     "truncated"},
    {"file size overflows",
     [](ElfFile& e) { e.segment(0).p_filesz = e.segment(0).p_memsz = UINT64_MAX; }, "truncated"},
    {"address overflows", [](ElfFile& e) { e.segment(0).p_memsz = UINT64_MAX - kTestMiB + 1; },
     "not all in"},
    {"outside memory", [](ElfFile& e) { e.segment(0).p_memsz = 16 * kTestMiB; }, "16 MiB"},
    {"beyond memory", [](ElfFile& e) { e.add_segment(1ULL << 40, Bytes(4), 4); }, "not all in"},
    {"in the gap", [](ElfFile& e) { e.add_segment(layout::kMmio32Start, Bytes(4), 4); },
     "not all in"},
    {"over the descriptors", [](ElfFile& e) { e.add_segment(0x500, Bytes(4), 4); }, "descriptor"},
    {"over the start info", [](ElfFile& e) { e.add_segment(0x5ff0, Bytes(4), 32); }, "start info"},
    {"over the zero page", [](ElfFile& e) { e.add_segment(0x7000, Bytes(4), 4); }, "zero page"},
    {"over the page tables", [](ElfFile& e) { e.add_segment(0xb800, Bytes(4), 4); }, "page tables"},
    {"over the command line", [](ElfFile& e) { e.add_segment(0x10000, Bytes(4), 0x10001); },
     "command line"},
    {"over the MP table", [](ElfFile& e) { e.add_segment(0x9fbff, Bytes(4), 4); }, "MP table"},
    {"over the ACPI tables", [](ElfFile& e) { e.add_segment(0xe0000, Bytes(4), 4); }, "ACPI"},
    {"segments overlap", [](ElfFile& e) { e.add_segment(kTestMiB + 4095, Bytes(4), 4); },
     "overlaps that of"},
    {"entry below", [](ElfFile& e) { e.segment(0).p_paddr = kTestMiB + 17; }, "entry 0x100010"},
    {"entry in BSS",
     [](ElfFile& e) {
       e.add_notes({});
       e.segment(0).p_filesz = 16;
     },
     "none of its loaded"},
    {"notes past the end", [](ElfFile& e) { e.segment(1).p_offset = 1 << 20; }, "truncated"},
    {"notes without end", [](ElfFile& e) { e.segment(1).p_filesz = 1 << 30; }, "bytes of notes"},
    {"note's name", [](ElfFile& e) { e.segment(1) = e.add_notes(note_of(UINT32_MAX, 4, 64)); },
     "ends at"},
    {"note's descriptor",
     [](ElfFile& e) { e.segment(1) = e.add_notes(note_of(4, UINT32_MAX, 64)); }, "ends at"},
    {"note's name and descriptor",
     [](ElfFile& e) { e.segment(1) = e.add_notes(note_of(UINT32_MAX, UINT32_MAX, 64)); },
     "ends at"},
    {"entry of 2 bytes",
     [](ElfFile& e) { e.segment(1) = e.add_notes(make_note("Xen", kPvhNote, Bytes(2))); },
     "4 or 8"},
    {"entry of no bytes",
     [](ElfFile& e) { e.segment(1) = e.add_notes(make_note("Xen", kPvhNote, {})); }, "4 or 8"},
    {"entry of 64 bits",
     [](ElfFile& e) {
       e.segment(1) =
           e.add_notes(make_note("Xen", kPvhNote, bytes_of(std::uint64_t{0x1'0010'0000})));
     },
     "no 32-bit address"},
};

INSTANTIATE_TEST_SUITE_P(All, HostileElf, testing::ValuesIn(kHostile), [](const auto& info) {
  std::string name = info.param.what;
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
});

TEST(KernelFiles, ThatAreNone) {
  const std::pair<Bytes, const char*> cases[] = {
      {Bytes{}, "empty"},
      {Bytes{'h', 'i'}, "neither"},
      {Bytes(100'000, 0), "neither"},
      {Bytes{0x7f, 'E', 'L', 'F'}, "truncated"},
      {Bytes{0x1f, 0x8b, 8, 0}, "neither"},
  };
  for (const auto& [content, message] : cases) {
    const auto kernel = load(content);
    ASSERT_FALSE(kernel);
    EXPECT_EQ(kernel.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(error_of(kernel).find(message), std::string::npos) << error_of(kernel);
  }
}

// Cut at every length up to the segment's end: an error each time, and no crash.
TEST(KernelFiles, TruncatedAnywhere) {
  Bytes content = make_elf(true).build();
  const std::size_t whole = content.size();
  const auto memory = make_memory(16 * kTestMiB);
  EXPECT_TRUE(load(memory, content));
  for (std::size_t length = 0; length < whole; length += length < 256 ? 1 : 61) {
    EXPECT_FALSE(load(memory, Bytes(content.begin(), content.begin() + length))) << length;
  }
}

TEST(KernelFiles, MustBeRegular) {
  const auto memory = make_memory(2 * kTestMiB);
  const auto directory = open_file("/", O_RDONLY | O_DIRECTORY);
  const auto device = open_file("/dev/zero", O_RDONLY);
  ASSERT_TRUE(directory && device);
  for (const int fd : {directory->get(), device->get()}) {
    const auto kernel = load_kernel(memory, fd, BootProtocolChoice::kAuto);
    EXPECT_NE(error_of(kernel).find("regular file"), std::string::npos) << error_of(kernel);
  }
  EXPECT_FALSE(load_kernel(memory, -1, BootProtocolChoice::kAuto));
}

TEST(KernelFiles, FileOffsetDoesNotMatter) {
  const UniqueFd file = make_file(make_elf(false).build());
  ASSERT_EQ(::lseek(file.get(), 100, SEEK_SET), 100);
  EXPECT_TRUE(load_kernel(make_memory(2 * kTestMiB), file.get(), BootProtocolChoice::kAuto));
}

TEST(KernelFiles, NeedMemoryAboveOneMiB) {
  const auto kernel = load(make_memory(kTestMiB), make_elf(true).build());
  ASSERT_FALSE(kernel);
  EXPECT_NE(error_of(kernel).find("1 MiB of memory"), std::string::npos) << error_of(kernel);
}

TEST(BootProtocols, HaveNames) {
  EXPECT_EQ(*parse_boot_protocol("auto"), BootProtocolChoice::kAuto);
  EXPECT_EQ(*parse_boot_protocol("pvh"), BootProtocolChoice::kPvh);
  EXPECT_EQ(*parse_boot_protocol("linux64"), BootProtocolChoice::kLinux64);
  EXPECT_NE(error_of(parse_boot_protocol("bios")).find("linux64"), std::string::npos);
}

}  // namespace
}  // namespace mote::arch

#include "isolation/jail/exec_file.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "temp_dir.h"

namespace mote::isolation::jail {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A program of one segment, which is never run.
std::string program(Elf64_Word segment, Elf64_Half machine = EM_X86_64) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = machine;
  header.e_type = ET_DYN;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr first{};
  first.p_type = segment;
  std::string text(sizeof(header) + sizeof(first), '\0');
  std::memcpy(text.data(), &header, sizeof(header));
  std::memcpy(text.data() + sizeof(header), &first, sizeof(first));
  return text;
}

class ExecFileTest : public testing::Test {
 protected:
  std::string make(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = dir_.write(name, content);
    ::chmod(path.c_str(), mode);
    return path;
  }
  static std::string error_of(const std::string& path) {
    const auto file = ExecFile::open(path);
    return file ? "no error" : file.error().text();
  }

  test::TempDir dir_;
};

TEST_F(ExecFileTest, IsNamedAfterWhereLinksLead) {
  make("monitor", program(PT_LOAD));
  fs::create_symlink("monitor", dir_ / "one");
  fs::create_symlink(dir_ / "one", dir_ / "two");
  for (const char* const name : {"monitor", "one", "two", "./x/../two"}) {
    fs::create_directories(dir_ / "x");
    const auto file = ExecFile::open(dir_ / name);
    ASSERT_TRUE(file) << file.error().text();
    EXPECT_EQ(file->name, "monitor");
    EXPECT_FALSE(file->needs_interpreter);
  }
}

TEST_F(ExecFileTest, KnowsWhatNeedsADynamicLinker) {
  const auto file = ExecFile::open(make("dynamic", program(PT_INTERP)));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->needs_interpreter);
}

TEST_F(ExecFileTest, RefusesWhatIsNoProgram) {
  EXPECT_THAT(error_of(""), HasSubstr("ENOENT"));
  EXPECT_THAT(error_of(dir_ / "none"), HasSubstr("ENOENT"));
  EXPECT_THAT(error_of(dir_.path()), HasSubstr("no regular file"));
  fs::create_symlink("loop", dir_ / "loop");
  EXPECT_THAT(error_of(dir_ / "loop"), HasSubstr("ELOOP"));
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0777), 0);
  EXPECT_THAT(error_of(dir_ / "fifo"), HasSubstr("no regular file"));
  EXPECT_THAT(error_of(make("data", program(PT_LOAD), 0644)), HasSubstr("not executable"));
  EXPECT_THAT(error_of(make("script", "#!/bin/sh\n")), HasSubstr("no ELF program"));
  EXPECT_THAT(error_of(make("long-script", "#!/bin/sh\n" + std::string(4096, '\n'))),
              HasSubstr("no ELF program"));
  EXPECT_THAT(error_of(make("empty", "")), HasSubstr("no ELF program"));
  EXPECT_THAT(error_of(make("other", program(PT_LOAD, EM_RISCV))), HasSubstr("this processor"));
  EXPECT_THAT(error_of(make("short", program(PT_LOAD).substr(0, sizeof(Elf64_Ehdr) + 8))),
              HasSubstr("cut short"));
}

}  // namespace
}  // namespace mote::isolation::jail

#include "engine/cpio.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "temp_dir.h"

namespace mote::engine {
namespace {

struct Entry {
  std::string path;
  unsigned mode = 0;
  std::string content;
  unsigned major = 0;
  unsigned minor = 0;
};

// A reader of its own, by the kernel's description of the form.
std::vector<Entry> parse(const std::string& archive) {
  std::vector<Entry> entries;
  std::size_t place = 0;
  const auto field = [&](unsigned index) {
    return static_cast<unsigned>(std::stoul(archive.substr(place + 6 + 8 * index, 8), nullptr, 16));
  };
  const auto aligned = [](std::size_t size) { return (size + 3) / 4 * 4; };
  while (place + 110 <= archive.size()) {
    EXPECT_EQ(archive.substr(place, 6), "070701");
    EXPECT_EQ(place % 4, 0U);
    const unsigned size = field(6);
    const unsigned name_size = field(11);
    Entry entry{.path = archive.substr(place + 110, name_size - 1),
                .mode = field(1),
                .content = {},
                .major = field(9),
                .minor = field(10)};
    EXPECT_EQ(archive.at(place + 110 + name_size - 1), '\0');
    EXPECT_EQ(field(2), 0U) << "owner";
    const std::size_t data = aligned(place + 110 + name_size);
    entry.content = archive.substr(data, size);
    place = aligned(data + size);
    entries.push_back(std::move(entry));
  }
  EXPECT_EQ(place, archive.size());
  return entries;
}

std::string sample() {
  CpioWriter writer;
  writer.directory("dev", 0755);
  writer.character_device("dev/console", 0600, 5, 1);
  writer.file("init", 0755,
              std::as_bytes(std::span("\x7f"
                                      "ELF\0x",
                                      6)));
  writer.file("empty", 0600, {});
  return std::move(writer).take();
}

TEST(Cpio, EntriesAreAsTheKernelReadsThem) {
  const auto entries = parse(sample());
  ASSERT_EQ(entries.size(), 5);
  EXPECT_EQ(entries[0].path, "dev");
  EXPECT_EQ(entries[0].mode, S_IFDIR | 0755U);
  EXPECT_EQ(entries[1].path, "dev/console");
  EXPECT_EQ(entries[1].mode, S_IFCHR | 0600U);
  EXPECT_EQ(entries[1].major, 5);
  EXPECT_EQ(entries[1].minor, 1);
  EXPECT_EQ(entries[2].content, std::string("\x7f"
                                            "ELF\0x",
                                            6));
  EXPECT_EQ(entries[3].content, "");
  EXPECT_EQ(entries[4].path, "TRAILER!!!");
}

TEST(Cpio, EveryLengthIsPadded) {
  for (std::size_t length = 0; length < 9; ++length) {
    CpioWriter writer;
    const std::string name(length + 1, 'n');
    const std::string content(length, 'c');
    writer.file(name, 0644, std::as_bytes(std::span(content)));
    writer.file("next", 0644, {});
    const auto entries = parse(std::move(writer).take());
    ASSERT_EQ(entries.size(), 3);
    EXPECT_EQ(entries[0].path, name);
    EXPECT_EQ(entries[0].content, content);
  }
}

TEST(Cpio, ToolOfTheSameNameReadsIt) {
  if (std::system("command -v cpio >/dev/null") != 0) GTEST_SKIP() << "cpio is not installed";
  const test::TempDir directory;
  directory.write("archive", sample());
  const std::string command =
      "cd '" + directory.path() + "' && cpio -it --quiet < archive > list 2> errors";
  EXPECT_EQ(std::system(command.c_str()), 0) << directory.read("errors");
  EXPECT_EQ(directory.read("list"), "dev\ndev/console\ninit\nempty\n");
  EXPECT_EQ(directory.read("errors"), "");
}

}  // namespace
}  // namespace mote::engine

#include "arch/x86_64/cmdline.h"

#include <gtest/gtest.h>

#include "arch/support.h"

namespace mote::arch {
namespace {

std::string parsed(std::string_view text) {
  const auto line = Cmdline::parse(text);
  return line ? line->text() : "error: " + error_of(line);
}

TEST(Cmdline, KeepsWhatTheUserGives) {
  EXPECT_EQ(parsed(""), "");
  EXPECT_EQ(parsed("quiet"), "quiet");
  EXPECT_EQ(parsed("  console=ttyS0  a=\"b c\" "), "console=ttyS0  a=\"b c\"");
}

TEST(Cmdline, DefaultIsValid) { EXPECT_EQ(parsed(Cmdline::kDefault), Cmdline::kDefault); }

TEST(Cmdline, MachineAddsBehindTheUsersWordsAndBeforeInits) {
  auto line = Cmdline::parse("quiet -- sh -c 'a -- b'");
  ASSERT_TRUE(line);
  ASSERT_TRUE(line->add("pci=off"));
  ASSERT_TRUE(line->add_root("", false));
  ASSERT_TRUE(line->add_virtio_mmio(4096, 0xc0001000, 5));
  EXPECT_EQ(line->text(),
            "quiet pci=off root=/dev/vda rw virtio_mmio.device=4K@0xc0001000:5"
            " -- sh -c 'a -- b'");
}

TEST(Cmdline, InitMarkAtEitherEnd) {
  auto line = Cmdline::parse("-- init words");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->text(), "-- init words");
  ASSERT_TRUE(line->add("pci=off"));
  EXPECT_EQ(line->text(), "pci=off -- init words");
  EXPECT_EQ(parsed("quiet --"), "quiet");
}

TEST(Cmdline, InitMarkInQuotesOrInsideAWordIsNone) {
  for (const std::string_view text : {"a=\"b -- c\"", "a--b", "a --b", "a-- b"}) {
    auto line = Cmdline::parse(text);
    ASSERT_TRUE(line);
    ASSERT_TRUE(line->add("last"));
    EXPECT_EQ(line->text(), std::string(text) + " last");
  }
}

TEST(Cmdline, RootByPartitionAndReadOnly) {
  Cmdline line;
  ASSERT_TRUE(line.add_root("0eaa91a0-01", true));
  EXPECT_EQ(line.text(), "root=PARTUUID=0eaa91a0-01 ro");
  Cmdline plain;
  ASSERT_TRUE(plain.add_root("", true));
  EXPECT_EQ(plain.text(), "root=/dev/vda ro");
  for (const std::string_view several : {"a -- init", "a\"b", " "}) {
    EXPECT_FALSE(plain.add_root(several, true)) << several;
  }
  EXPECT_EQ(plain.text(), "root=/dev/vda ro");
}

TEST(Cmdline, RefusesWhatIsNotPrintableAscii) {
  for (const std::string_view text :
       {std::string_view("a\tb"), std::string_view("a\nb"), std::string_view("a\0b", 3),
        std::string_view("caf\xc3\xa9"), std::string_view("a\x7f")}) {
    const auto line = Cmdline::parse(text);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(error_of(line).find("position"), std::string::npos) << error_of(line);
    EXPECT_FALSE(Cmdline().add(text));
  }
  EXPECT_NE(error_of(Cmdline::parse("ab\n")).find("0x0a at position 2"), std::string::npos);
}

TEST(Cmdline, LengthIsLimited) {
  EXPECT_TRUE(Cmdline::parse(std::string(2047, 'a')));
  const auto longer = Cmdline::parse(std::string(2048, 'a'));
  ASSERT_FALSE(longer);
  EXPECT_NE(error_of(longer).find("2048 bytes"), std::string::npos) << error_of(longer);
  EXPECT_NE(error_of(longer).find("2047"), std::string::npos) << error_of(longer);
}

TEST(Cmdline, WhatTheMachineAddsCounts) {
  auto line = Cmdline::parse(std::string(2040, 'a'));
  ASSERT_TRUE(line);
  EXPECT_TRUE(line->add("abcdef"));
  EXPECT_FALSE(line->add("b"));
  auto with_init = Cmdline::parse("k -- " + std::string(2042, 'i'));
  ASSERT_TRUE(with_init) << error_of(with_init);
  EXPECT_FALSE(with_init->add_root("", true));
}

}  // namespace
}  // namespace mote::arch

// The decompressor for zstd, against what the program `zstd` makes, and against lies.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "storage/temp_file.h"
#include "storage/zstd/decompress.h"

namespace mote::storage::test {
namespace {

using namespace std::string_literals;

// What `size` bytes a frame makes; empty: it is refused.
std::optional<std::string> decompressed(const std::string& frame, std::size_t size) {
  std::string made(size, '\x55');
  // A copy of its own, so that a byte behind it is nobody's.
  const std::vector<char> from(frame.begin(), frame.end());
  if (!zstd::decompress(std::as_bytes(std::span(from)), std::as_writable_bytes(std::span(made)))) {
    return std::nullopt;
  }
  return made;
}

bool have_zstd() { return std::system("zstd --version > /dev/null 2>&1") == 0; }  // NOLINT

std::string compressed(const std::string& text, const std::string& options) {
  const TempFile from(text);
  const TempFile into("");
  const std::string command =
      "zstd -q -f " + options + " -o " + into.path() + " " + from.path() + " 2> /dev/null";
  if (std::system(command.c_str()) != 0) throw std::runtime_error(command);  // NOLINT
  return into.content();
}

// Texts that compress in different ways.
std::string words(std::size_t size, std::mt19937& random) {
  std::string text;
  while (text.size() < size) {
    text += std::array{"ring ", "driver ", "descriptor ", "used ", "a ", "\n"}[random() % 6];
  }
  return text.substr(0, size);
}

std::string noise(std::size_t size, std::mt19937& random, unsigned most) {
  std::string text;
  while (text.size() < size) text.push_back(static_cast<char>(random() % most));
  return text;
}

// Numbers that count, far copies, runs, and noise in turns.
std::string mixture(std::size_t size, std::mt19937& random) {
  std::string text;
  while (text.size() < size) {
    const std::size_t length = 1 + random() % 3000;
    switch (random() % 4) {
      case 0:
        for (std::size_t i = 0; i < length; ++i)
          text.push_back(static_cast<char>(i >> random() % 4));
        break;
      case 1:
        text +=
            text.substr(text.size() - std::min<std::size_t>(text.size(), random() % 90000), length);
        break;
      case 2:
        text.append(length, static_cast<char>(random()));
        break;
      default:
        text += noise(length, random, 256);
    }
  }
  return text.substr(0, size);
}

class ZstdLevels : public ::testing::TestWithParam<const char*> {};

void expect_the_same(const std::string& text, const std::string& options) {
  const std::string frame = compressed(text, options);
  EXPECT_TRUE(decompressed(frame, text.size()) == text) << text.size();
  EXPECT_TRUE(decompressed(frame + "what follows", text.size()) == text) << text.size();
  EXPECT_FALSE(decompressed(frame, text.size() - 1)) << text.size();
  EXPECT_FALSE(decompressed(frame, text.size() + 1)) << text.size();
}

TEST_P(ZstdLevels, MakesWhatWasCompressed) {
  if (!have_zstd()) GTEST_SKIP() << "the program zstd (package zstd) is not installed";
  std::mt19937 random(11);
  for (const std::size_t size : {1U, 17U, 512U, 4096U, 65536U}) {
    for (const std::string& text :
         {std::string(size, 'z'), words(size, random), noise(size, random, 256),
          noise(size, random, 7), mixture(size, random), mixture(size, random)}) {
      expect_the_same(text, GetParam());
    }
  }
  // As the largest cluster, of many blocks.
  expect_the_same(mixture(2U << 20, random), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Levels, ZstdLevels,
                         ::testing::Values("-1", "-3 --no-check", "-9", "-19", "--fast=9",
                                           "--ultra -22 --long"));

TEST(Zstd, AFrameThatEndsEarlyIsRefused) {
  if (!have_zstd()) GTEST_SKIP() << "the program zstd (package zstd) is not installed";
  std::mt19937 random(5);
  const std::string text = words(3000, random);
  const std::string frame = compressed(text, "-19 --no-check");
  ASSERT_TRUE(decompressed(frame, text.size()) == text);
  for (std::size_t length = 0; length < frame.size(); ++length) {
    EXPECT_FALSE(decompressed(frame.substr(0, length), text.size())) << length;
  }
}

TEST(Zstd, AFrameThatIsDamagedDoesNoHarm) {
  if (!have_zstd()) GTEST_SKIP() << "the program zstd (package zstd) is not installed";
  std::mt19937 random(6);
  const std::string text = mixture(9000, random);
  const std::string frame = compressed(text, "-19 --no-check");
  std::size_t refused = 0;
  for (std::size_t i = 0; i < 20'000; ++i) {
    std::string other = frame;
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
      other[random() % other.size()] ^= static_cast<char>(1U << random() % 8);
    }
    if (!decompressed(other, text.size())) ++refused;
  }
  EXPECT_GT(refused, 1000U) << "much of it cannot be";
}

// By hand
// ------------------------------------------------------------------------------------------------

const std::string kHead = "\x28\xb5\x2f\xfd\x00\x48"s;  // no size, a window of 512 KiB

std::string block(unsigned kind, std::size_t size, const std::string& body, bool last = true) {
  const auto head = static_cast<unsigned>((last ? 1U : 0U) | kind << 1 | size << 3);
  return std::string{static_cast<char>(head), static_cast<char>(head >> 8),
                     static_cast<char>(head >> 16)} +
         body;
}

std::string raw(const std::string& body, bool last = true) {
  return block(0, body.size(), body, last);
}
std::string run_of(char byte, std::size_t size, bool last = true) {
  return block(1, size, {byte}, last);
}
std::string packed(const std::string& body) { return block(2, body.size(), body); }

TEST(Zstd, BlocksThatAreNotCompressed) {
  EXPECT_EQ(decompressed(kHead + raw("abc", false) + run_of('x', 4, false) + raw("d"), 8),
            "abcxxxxd");
  EXPECT_EQ(decompressed(kHead + raw("abc", false), 3), std::nullopt) << "the last is missing";
  EXPECT_EQ(decompressed(kHead + raw("abc"), 2), std::nullopt);
  EXPECT_EQ(decompressed(kHead + run_of('x', 1 << 21), 1 << 20), std::nullopt);
  EXPECT_EQ(decompressed(kHead + run_of('x', 129 << 10), 129 << 10), std::nullopt)
      << "a block makes 128 KiB at most";
  EXPECT_EQ(decompressed(kHead + block(3, 1, "x"), 1), std::nullopt);
  EXPECT_EQ(decompressed("", 0), std::nullopt);
}

TEST(Zstd, HeadsThatAreNone) {
  for (const char descriptor : {'\x01', '\x02', '\x03', '\x08'}) {  // dictionaries; reserved
    EXPECT_FALSE(decompressed("\x28\xb5\x2f\xfd"s + descriptor + "\x48\0\0\0\0\0"s + raw("a"), 1));
  }
  EXPECT_FALSE(decompressed("\x27\xb5\x2f\xfd\x00\x48"s + raw("a"), 1)) << "an older format";
  EXPECT_FALSE(decompressed("\x50\x2a\x4d\x18\x00\x00\x00\x00"s + kHead + raw("a"), 1));
  // One segment, and its size in 1, 2, 4 and 8 bytes.
  for (unsigned kind = 0; kind < 4; ++kind) {
    const std::string head = "\x28\xb5\x2f\xfd"s + static_cast<char>(kind << 6 | 0x20);
    EXPECT_EQ(decompressed(head + std::string(1U << kind, '\0') + raw("a"), 1), "a") << kind;
  }
}

TEST(Zstd, BlocksWithoutEndAreNotFollowed) {
  std::string frame = kHead;
  for (int i = 0; i < 4095; ++i) frame += raw("", false);
  EXPECT_EQ(decompressed(frame + raw("a"), 1), "a");
  EXPECT_FALSE(decompressed(frame + raw("", false) + raw("a"), 1));
}

TEST(Zstd, LiteralsAlone) {
  EXPECT_EQ(decompressed(kHead + packed("\x18"s + "abc" + "\0"s), 3), "abc");
  EXPECT_EQ(decompressed(kHead + packed("\x29"s + "y" + "\0"s), 5), "yyyyy");
  EXPECT_FALSE(decompressed(kHead + packed("\x18"s + "abc"), 3)) << "no word of sequences";
  EXPECT_FALSE(decompressed(kHead + packed("\x18"s + "abc" + "\0\0"s), 3)) << "something after";
  EXPECT_FALSE(decompressed(kHead + packed("\x20"s + "abc"), 4));
  EXPECT_FALSE(decompressed(kHead + packed("\x0d\xff\xff"s + "y" + "\0"s), 0xffff0))
      << "more than a block makes";
  EXPECT_FALSE(decompressed(kHead + packed("\x33\x40\x00"s + "\x01" + "\0"s), 3))
      << "the table of an earlier block, which there is none";
}

TEST(Zstd, SequencesThatRepeatWhatWasNotThere) {
  // One literal, then one sequence, whose tables are those of an earlier block.
  EXPECT_FALSE(decompressed(kHead + packed("\x08"s + "a" + "\x01\xfc\x80"s), 8));
  // Tables of one symbol: no literals, a distance of code 2, a length of 3: nothing is there yet.
  EXPECT_FALSE(decompressed(kHead + packed("\x00\x01\x54\x00\x02\x00\x07"s), 3));
  // ... with a literal before it: distance 4 - 3 = 1.
  EXPECT_EQ(decompressed(kHead + packed("\x08"s + "a" + "\x01\x54\x01\x02\x00\x04"s), 4), "aaaa");
  EXPECT_FALSE(decompressed(kHead + packed("\x08"s + "a" + "\x01\x55\x01\x02\x00\x04"s), 4))
      << "a reserved bit";
  EXPECT_FALSE(decompressed(kHead + packed("\x08"s + "a" + "\x01\x54\x01\x02\x00\x08"s), 4))
      << "bits are left";
  EXPECT_FALSE(decompressed(kHead + packed("\x08"s + "a" + "\x01\x54\x24\x02\x00\x04"s), 4))
      << "there is no such code";
}

}  // namespace
}  // namespace mote::storage::test

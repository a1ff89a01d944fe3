// Structs to nodes and back: every kind of member, what other versions left out or added, and nodes
// that lie.
#include "snapshot/describe.h"

#include <gtest/gtest.h>
#include <linux/kvm.h>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

namespace mote::snapshot {
namespace {

enum class Mood { kCalm, kCross };
BOOST_DESCRIBE_ENUM(Mood, kCalm, kCross)

struct Inner {
  std::uint32_t size = 7;
  std::string name = "none";
  bool operator==(const Inner&) const = default;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (size, name))

struct Other {
  std::int8_t offset = 0;
  bool operator==(const Other&) const = default;
};
BOOST_DESCRIBE_STRUCT(Other, (), (offset))

// Not described: kept as its bytes.
struct Plain {
  std::uint16_t a;
  std::uint16_t b;
  bool operator==(const Plain&) const = default;
};

struct Everything {
  bool flag = false;
  std::uint8_t small = 0;
  std::uint64_t large = 0;
  std::int32_t negative = 0;
  Mood mood = Mood::kCalm;
  std::string text;
  Plain plain{};
  std::optional<Inner> there{};
  std::optional<Inner> absent{};
  std::vector<Inner> list;
  std::vector<std::byte> blob;
  std::vector<std::uint8_t> bytes;
  std::array<std::uint8_t, 3> fixed_bytes{};
  std::array<std::uint32_t, 2> fixed{};
  std::uint64_t c_array[2] = {};
  std::variant<Inner, Other> either{};
  bool operator==(const Everything&) const = default;
};
BOOST_DESCRIBE_STRUCT(Everything, (),
                      (flag, small, large, negative, mood, text, plain, there, absent, list, blob,
                       bytes, fixed_bytes, fixed, c_array, either))

Everything everything() {
  Everything made{.flag = true,
                  .small = 255,
                  .large = UINT64_MAX,
                  .negative = -5,
                  .mood = Mood::kCross,
                  .text = "caf\xc3\xa9",
                  .plain = {1, 2},
                  .there = Inner{.size = 1, .name = "one"},
                  .list = {{.size = 2, .name = "two"}, {}},
                  .blob = {std::byte{1}, std::byte{2}},
                  .bytes = {9, 8, 7},
                  .fixed_bytes = {4, 5, 6},
                  .fixed = {10, 11},
                  .either = Other{.offset = -3}};
  made.c_array[1] = 99;
  return made;
}

template <typename T>
std::string error_of(const std::vector<std::byte>& bytes) {
  Notes notes;
  const auto result = read<T>(bytes, notes);
  return result ? "" : result.error().text();
}

TEST(Describe, EveryKindOfMemberComesBack) {
  const Everything made = everything();
  Notes notes;
  const auto back = read<Everything>(write(made), notes);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_TRUE(*back == made);
  EXPECT_TRUE(notes.skipped.empty());
}

TEST(Describe, AStructOfTheKernelsIsItsBytes) {
  kvm_vcpu_events events{};
  events.exception.nr = 14;
  Notes notes;
  const auto back = read<kvm_vcpu_events>(write(events), notes);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->exception.nr, 14);
}

// A record of members as they are given, whatever the struct.
struct Handmade {
  NodeWriter writer;
  NodeWriter::Mark mark;
  explicit Handmade(std::uint16_t members, std::uint16_t version = 1)
      : mark(writer.begin_record(version, members)) {}
  std::vector<std::byte> take() {
    writer.end(mark);
    return std::move(writer).take();
  }
};

TEST(Describe, WhatIsNotThereKeepsItsValueAndWhatIsNotKnownIsNoted) {
  Handmade record(2);
  record.writer.name("colour");
  const auto list = record.writer.begin_list(1);
  record.writer.text("red");
  record.writer.end(list);
  record.writer.name("size");
  record.writer.number(std::uint64_t{3});
  Notes notes;
  const auto back = read<Inner>(record.take(), notes, Path("it"));
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(back->size, 3U);
  EXPECT_EQ(back->name, "none");
  EXPECT_EQ(notes.skipped, std::vector<std::string>{"colour"});
}

TEST(Describe, MembersMayComeInAnyOrder) {
  Handmade record(2);
  record.writer.name("name");
  record.writer.text("x");
  record.writer.name("size");
  record.writer.number(std::uint64_t{3});
  Notes notes;
  EXPECT_EQ(read<Inner>(record.take(), notes)->name, "x");
}

TEST(Describe, ANewerVersionOfAStructIsRefusedByName) {
  const std::string error = error_of<Inner>(Handmade(0, 2).take());
  EXPECT_NE(error.find("version 2 of Inner"), std::string::npos) << error;
}

TEST(Describe, WhatIsWrongIsNamedWithItsPlace) {
  const auto with = [](std::string_view name, auto put) {
    Handmade record(1);
    record.writer.name(name);
    put(record.writer);
    return error_of<Everything>(record.take());
  };
  const auto expect = [](const std::string& error, std::string_view wanted) {
    EXPECT_NE(error.find(wanted), std::string::npos) << error << "\nlacks " << wanted;
  };
  expect(with("small", [](auto& w) { w.number(std::uint64_t{256}); }),
         "small is the number 256; it must be a number from 0 to 255");
  expect(with("large", [](auto& w) { w.number(std::int64_t{-1}); }), "from 0 to");
  expect(with("negative", [](auto& w) { w.number(std::uint64_t{1} << 31); }), "negative is");
  expect(with("flag", [](auto& w) { w.number(std::uint64_t{1}); }), "true or false");
  expect(with("mood", [](auto& w) { w.text("angry"); }), R"("kCalm" or "kCross")");
  expect(with("text", [](auto& w) { w.boolean(true); }), "a text");
  expect(with("plain", [](auto& w) { w.bytes(std::array<std::byte, 3>{}); }), "4 bytes");
  expect(with("fixed", [](auto& w) { w.end(w.begin_list(0)); }), "a list of 2");
  expect(with("blob", [](auto& w) { w.text("x"); }), "blob is the text \"x\"; it must be bytes");
  expect(with("list", [](auto& w) { w.absent(); }), "a list");
  expect(with("there", [](auto& w) { w.boolean(true); }), "there is true; it must be a record");
  expect(with("either",
              [](auto& w) {
                const auto mark = w.begin_record(1, 1);
                w.name("Nobody");
                w.absent();
                w.end(mark);
              }),
         "either.Nobody: this mote has nothing that is saved so");
  expect(with("list",
              [](auto& w) {
                const auto list = w.begin_list(1);
                const auto inner = w.begin_record(1, 1);
                w.name("size");
                w.text("big");
                w.end(inner);
                w.end(list);
              }),
         "list[0].size is the text \"big\"");
}

TEST(Describe, NoLengthReadsMoreThanThereIs) {
  const std::vector<std::byte> whole = write(everything());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    // In memory of just that size, so that the sanitiser sees what reads behind it.
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<long>(length));
    EXPECT_NE(error_of<Everything>(cut), "") << length;
    EXPECT_FALSE(walk(cut, [](const std::string&, const Node&) {})) << length;
  }
  std::vector<std::byte> longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_NE(error_of<Everything>(longer), "");
}

// Whatever a byte becomes: an answer, and no access outside.
TEST(Describe, EachByteFlipped) {
  const std::vector<std::byte> whole = write(everything());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {0, 3, 7}) {
      std::vector<std::byte> bad = whole;
      bad[at] ^= static_cast<std::byte>(1 << bit);
      Notes notes;
      static_cast<void>(read<Everything>(bad, notes));
      static_cast<void>(walk(bad, [](const std::string&, const Node&) {}));
    }
  }
}

TEST(Describe, AListThatSaysMoreThanItHasTakesNoMemory) {
  NodeWriter writer;
  const auto list = writer.begin_list(UINT32_MAX);
  writer.absent();
  writer.end(list);
  EXPECT_NE(error_of<std::vector<Inner>>(std::move(writer).take()), "");
}

TEST(Walk, TellsEveryLeafWithItsPath) {
  std::vector<std::string> seen;
  ASSERT_TRUE(walk(write(everything()), [&](const std::string& path, const Node& node) {
    seen.push_back(path + " is " + shown(node));
  }));
  const auto has = [&](std::string_view line) {
    return std::ranges::find(seen, line) != seen.end();
  };
  EXPECT_TRUE(has("flag is true"));
  EXPECT_TRUE(has("negative is the number -5"));
  EXPECT_TRUE(has("list[0].name is the text \"two\""));
  EXPECT_TRUE(has("absent is absent"));
  EXPECT_TRUE(has("either.Other.offset is the number -3"));
  EXPECT_TRUE(has("bytes is 3 bytes"));
}

TEST(Walk, StopsAtADepth) {
  NodeWriter writer;
  std::vector<NodeWriter::Mark> marks;
  for (int i = 0; i < kMaxDepth + 1; ++i) marks.push_back(writer.begin_list(1));
  writer.absent();
  for (; !marks.empty(); marks.pop_back()) writer.end(marks.back());
  EXPECT_FALSE(walk(std::move(writer).take(), [](const std::string&, const Node&) {}));
}

}  // namespace
}  // namespace mote::snapshot

#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::json {
namespace {

using testing::HasSubstr;

std::string error_of(std::string_view text, const Limits& limits = {}) {
  const Result<Value> value = parse(text, Path(), limits);
  return value ? "no error" : value.error().text();
}

std::string again(std::string_view text) {
  const Result<Value> value = parse(text);
  if (!value) return value.error().text();
  Writer writer;
  writer.value(*value);
  return std::move(writer).take();
}

TEST(JsonParse, KeepsEveryKindOfValueInOrder) {
  const char* text =
      R"({"b":[null,true,false,1,-1,18446744073709551615,1.5,2.0,1e+30,"x"],"a":{},"c":[]})";
  EXPECT_EQ(again(text), text);
  EXPECT_EQ(again(" \r\n\t 7 \n"), "7");
  EXPECT_EQ(again(R"("a\n\u00e9\ud83d\ude00\u0000\"\\\/")"), "\"a\\né😀\\u0000\\\"\\\\/\"");
}

TEST(JsonParse, TellsWholeNumbersFromOthers) {
  EXPECT_TRUE(parse("9223372036854775807")->as<std::int64_t>());
  EXPECT_TRUE(parse("9223372036854775808")->as<std::uint64_t>());
  EXPECT_TRUE(parse("18446744073709551616")->as<double>());
  EXPECT_TRUE(parse("-9223372036854775808")->as<std::int64_t>());
  EXPECT_TRUE(parse("1.0")->as<double>());
  EXPECT_TRUE(parse("1e2")->as<double>());
  EXPECT_TRUE(parse("-0")->as<double>());
  EXPECT_EQ(*parse(std::string(39, '1'))->as<double>(), 1.1111111111111111e38) << "to the last bit";
  EXPECT_EQ(*parse("[0.1,2.2250738585072014e-308]")->as<Value::Array>()->at(1).as<double>(),
            2.2250738585072014e-308);
  EXPECT_EQ(*parse("1e-400")->as<double>(), 0);
}

TEST(JsonParse, NamesTheLineAndColumnOfWhatIsNotJson) {
  EXPECT_EQ(error_of("{\n  \"a\": 1,\n}"),
            "the document, line 3, column 1: \"}\" is not valid JSON here");
  EXPECT_EQ(error_of("// x\n{}"), "the document, line 1, column 1: \"/\" is not valid JSON here");
  EXPECT_EQ(error_of("{}x"),
            "the document, line 1, column 3: \"x\" follows after the end of the JSON");
  EXPECT_EQ(error_of("{} {}"),
            "the document, line 1, column 4: \"{\" follows after the end of the JSON");
  EXPECT_EQ(error_of("{\"a\":"),
            "the document, line 1, column 6: the text ends before its JSON is complete");
  EXPECT_EQ(error_of("[01]"), "the document, line 1, column 3: \"1\" is not valid JSON here");
}

TEST(JsonParse, RefusesWhatIsNoJson) {
  for (const char* text :
       {"hello",    "{",        "[",           "\"",          "\"a",         "{\"a\"",
        "{\"a\":1", "[1,]",     "{\"a\":1,}",  "{a:1}",       "'x'",         "True",
        "nul",      "NaN",      "Infinity",    "-",           "+1",          ".5",
        "1.",       "1e",       "01",          "0x10",        "[1 2]",       "{\"a\" 1}",
        "{1:2}",    "\"\\x\"",  "\"\\u12g4\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"a\nb\"", "\"\t\"",   "]",           "}",           ",",           "{}{}",
        "[]]",      "/* x */ 1"}) {
    EXPECT_NE(error_of(text), "no error") << text;
    EXPECT_EQ(parse(text).error().kind(), ErrorKind::kInvalid) << text;
  }
  EXPECT_THAT(error_of(std::string_view("\0", 1)), HasSubstr("\"\\u0000\" is not valid JSON here"));
  EXPECT_THAT(error_of(std::string_view("{}\0", 3)), HasSubstr("follows after the end"));
}

TEST(JsonParse, RefusesEmptyTextAndAByteOrderMark) {
  EXPECT_EQ(error_of(""), "the document is empty; it must be JSON");
  EXPECT_EQ(error_of(" \n"), "the document is empty; it must be JSON");
  EXPECT_THAT(error_of("\xef\xbb\xbf{}"), HasSubstr("begins with a byte order mark"));
}

TEST(JsonParse, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(error_of("{\"x\":\n\"\xff\"}"),
            "the document, line 2, column 2: the byte 0xff is not UTF-8 there; JSON is UTF-8");
  for (const char* bytes : {"\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xf8\x88\x80\x80\x80", "\x80", "\xe2\x82", "\xf0\x9f\x98"}) {
    EXPECT_THAT(error_of(fmt::format("\"{}\"", bytes)), HasSubstr("is not UTF-8")) << bytes;
  }
  EXPECT_EQ(again("\"\xf0\x9f\x98\x80\xe2\x82\xac\xf4\x8f\xbf\xbf\""),
            "\"\xf0\x9f\x98\x80\xe2\x82\xac\xf4\x8f\xbf\xbf\"");
}

TEST(JsonParse, RefusesANameGivenTwiceAndSaysWhich) {
  EXPECT_EQ(error_of(R"({"a":1,"b":2,"a":3})"), "a is given twice; give it once");
  EXPECT_EQ(error_of(R"({"drives":[{"x":1},{"y":{"id":1,"\u0069d":2}}]})"),
            "drives[1].y.id is given twice; give it once");
  EXPECT_EQ(error_of(R"([{"":1,"":2}])"), "the document [0].\"\" is given twice; give it once");
  EXPECT_EQ(again(R"({"a":{"a":{"a":1}},"b":{"a":1}})"), R"({"a":{"a":{"a":1}},"b":{"a":1}})");
}

TEST(JsonParse, TakesTheLastOfANameWhereThatIsWanted) {
  const auto value = parse(R"({"b":1,"a":[{"y":1,"x":2,"y":3}],"b":{"c":4},"":5})", Path(),
                           {.last_of_a_name_counts = true});
  ASSERT_TRUE(value) << value.error().text();
  Writer writer;
  writer.value(*value);
  EXPECT_EQ(std::move(writer).take(), R"({"":5,"a":[{"x":2,"y":3}],"b":{"c":4}})");
}

TEST(JsonParse, FindsADuplicateAmongManyNamesQuickly) {
  std::string text = "{";
  for (int i = 0; i < 60000; ++i) text += fmt::format("\"key{}\":0,", i);
  text += "\"key5\":1}";
  EXPECT_EQ(error_of(text), "key5 is given twice; give it once");
}

TEST(JsonParse, LimitsNesting) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(again(nested(32)), nested(32));
  EXPECT_EQ(error_of(nested(33)),
            "the document, line 1, column 33: lists and objects nest deeper than 32 levels");
  EXPECT_THAT(error_of(nested(1000)), HasSubstr("deeper than 32 levels"));
  EXPECT_THAT(error_of(std::string(500000, '[')), HasSubstr("deeper than 32 levels"));
  EXPECT_THAT(error_of("[[[1]]]", {.depth = 2}), HasSubstr("deeper than 2 levels"));
}

TEST(JsonParse, LimitsLength) {
  const std::string text(101, ' ');
  EXPECT_EQ(error_of(text, {.bytes = 100}), "the document is longer than 100 bytes");
  EXPECT_EQ(error_of("7" + std::string(99, ' '), {.bytes = 100}), "no error");
}

TEST(JsonParse, CallsTheDocumentWhatTheCallerCallsIt) {
  EXPECT_EQ(parse("", Path("the body")).error().text(), "the body is empty; it must be JSON");
}

TEST(JsonMessages, QuotesHostileTextShortAndInOneLine) {
  EXPECT_EQ(quote("a\nb\x1b[2J"), "\"a\\nb\\u001b[2J\"");
  EXPECT_EQ(quote("a\xff"), "\"a\\ufffd\"");
  EXPECT_LT(quote(std::string(1000000, 'a')).size(), 80U);
  EXPECT_THAT(quote(std::string(1000000, 'a')), testing::EndsWith("\"..."));
  // Never cut within a character.
  std::string text = "a";
  for (int i = 0; i < 100; ++i) text += "€";
  EXPECT_THAT(quote(text), testing::Not(HasSubstr("fffd")));
}

TEST(JsonMessages, NamesPlaces) {
  const Path root("the file");
  const Path drives(root, "drives");
  const Path second(drives, 1);
  EXPECT_EQ(root.text(), "the file");
  EXPECT_EQ(Path(second, "is_read_only").text(), "drives[1].is_read_only");
  EXPECT_EQ(Path(root, "boot-source").text(), "boot-source");
  EXPECT_EQ(Path(second, "a.b\n").text(), "drives[1].\"a.b\\n\"");
}

TEST(JsonWriter, WritesNothingThatIsNotJson) {
  Writer writer;
  writer.begin_array();
  writer.number(1.5);
  writer.number(std::numeric_limits<double>::infinity());
  writer.number(std::numeric_limits<double>::quiet_NaN());
  writer.string("\xff\x01\x7f");
  writer.end_array();
  EXPECT_EQ(std::move(writer).take(), R"([1.5,null,null,"\ufffd\u0001\u007f"])");
}

}  // namespace
}  // namespace mote::json

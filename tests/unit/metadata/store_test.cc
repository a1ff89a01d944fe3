#include "metadata/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_dir.h"

namespace mote::metadata {
namespace {

using testing::HasSubstr;

std::string after_put(std::string_view text) {
  Store store;
  const auto put = store.put(text);
  return put ? store.text() : put.error().text();
}

std::string after_patch(std::string_view data, std::string_view changes) {
  Store store;
  EXPECT_TRUE(store.put(data));
  const auto patched = store.patch(changes);
  return patched ? store.text() : patched.error().text();
}

std::string text_of_size(std::size_t size) {
  return fmt::format(R"({{"a":"{}"}})",
                     std::string(size - std::string_view(R"({"a":""})").size(), 'a'));
}

TEST(MetadataStore, IsAnEmptyObjectToTheApiUntilSomethingIsPut) {
  EXPECT_EQ(Store().text(), "{}");
  EXPECT_EQ(after_put("null"), "{}");
}

TEST(MetadataStore, TakesAnyJson) {
  for (const char* text :
       {R"({"a":"b"})", R"({"a":1.5})", R"({"a":null})", R"({"a":[1,"x",{}]})", R"("x")", "1", "[]",
        "[1]", R"({"":""})", R"({"a":18446744073709551615})", R"({"a":-0.0})", R"({"a":1.0})"}) {
    EXPECT_EQ(after_put(text), text);
  }
  EXPECT_EQ(after_put(" \n{}\n "), "{}");
  EXPECT_EQ(after_put(R"({"a":18446744073709551616})"), R"({"a":1.8446744073709552e+19})");
  EXPECT_EQ(after_put("{\"a\":\"\\u00e9\"}"), "{\"a\":\"é\"}");
}

TEST(MetadataStore, SortsNamesAndTakesTheLastOfEach) {
  EXPECT_EQ(after_put(R"({"b":1,"a":{"z":1,"y":2}})"), R"({"a":{"y":2,"z":1},"b":1})");
  EXPECT_EQ(after_put(R"({"a":1,"a":2})"), R"({"a":2})");
}

TEST(MetadataStore, RefusesWhatIsNoJsonAndKeepsWhatItHad) {
  Store store;
  ASSERT_TRUE(store.put(R"({"a":1})"));
  for (const char* text : {"", "{", "{}x", "{},{}", "\xef\xbb\xbf{}", R"({"a":1,})",
                           R"({"a":1e400})", "{\"a\":\"\xff\"}"}) {
    const auto put = store.put(text);
    ASSERT_FALSE(put) << text;
    EXPECT_EQ(put.error().kind(), ErrorKind::kInvalid);
    const auto patched = store.patch(text);
    ASSERT_FALSE(patched) << text;
    EXPECT_EQ(patched.error().kind(), ErrorKind::kInvalid);
  }
  EXPECT_EQ(store.text(), R"({"a":1})");
}

TEST(MetadataStore, NestsAsDeepAsFirecracker) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(after_put(nested(127)), nested(127));
  EXPECT_THAT(after_put(nested(128)), HasSubstr("nest deeper"));
}

TEST(MetadataStore, CountsItsTextAgainstTheLimit) {
  Store store(100);
  EXPECT_TRUE(store.put(text_of_size(100)));
  const auto put = store.put(text_of_size(101));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().kind(), ErrorKind::kTooLarge);
  EXPECT_THAT(put.error().text(), HasSubstr("101 bytes; it must have 100"));
  EXPECT_EQ(store.text(), text_of_size(100));
  EXPECT_TRUE(store.put(std::string(500, ' ') + "{}"));
  Store none(0);
  EXPECT_FALSE(none.put("1"));
}

TEST(MetadataStore, HasTheLimitOfARequest) {
  EXPECT_TRUE(Store().put(text_of_size(51200)));
  EXPECT_FALSE(Store().put(text_of_size(51201)));
}

TEST(MetadataStore, PatchesAsRfc7396Says) {
  const struct {
    const char* data;
    const char* changes;
    const char* result;
  } kCases[] = {
      // The table of its appendix A.
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", "{}"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", "null", "{}"},
      {R"({"a":"foo"})", R"("bar")", R"("bar")"},
      {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
      {"[1,2]", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
      // Lists keep their nulls.
      {"{}", R"({"a":[null]})", R"({"a":[null]})"},
      {R"({"a":"1","z":{"y":1}})", R"({"a/b":"c","m":2})",
       R"({"a":"1","a/b":"c","m":2,"z":{"y":1}})"},
  };
  for (const auto& one : kCases) {
    EXPECT_EQ(after_patch(one.data, one.changes), one.result) << one.data << " " << one.changes;
  }
}

TEST(MetadataStore, PatchesNothingBeforeThereIsSomething) {
  Store store;
  const auto patched = store.patch(R"({"a":1})");
  ASSERT_FALSE(patched);
  EXPECT_EQ(patched.error().kind(), ErrorKind::kState);
  EXPECT_EQ(store.text(), "{}");
  // null is something.
  ASSERT_TRUE(store.put("null"));
  ASSERT_TRUE(store.patch(R"({"a":1})"));
  EXPECT_EQ(store.text(), R"({"a":1})");
}

TEST(MetadataStore, KeepsWhatItHadWhenAPatchMakesItTooLarge) {
  Store store(60);
  ASSERT_TRUE(store.put(text_of_size(40)));
  const auto patched = store.patch(R"({"b":"0123456789abcdef"})");
  ASSERT_FALSE(patched);
  EXPECT_EQ(patched.error().kind(), ErrorKind::kTooLarge);
  EXPECT_EQ(store.text(), text_of_size(40));
}

TEST(MetadataStore, ReadsAFile) {
  const test::TempDir dir;
  Store store;
  EXPECT_TRUE(store.put_file(dir.write("good", "{\"a\": 1}\n")));
  EXPECT_EQ(store.text(), R"({"a":1})");
  for (const char* content : {"", "{"}) {
    const auto put = store.put_file(dir.write("bad", content));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind(), ErrorKind::kInvalid);
    EXPECT_THAT(put.error().text(), HasSubstr("/bad"));
  }
  const auto large = store.put_file(dir.write("large", text_of_size(60000)));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().kind(), ErrorKind::kTooLarge);
  const auto missing = store.put_file(dir / "none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(store.text(), R"({"a":1})");
}

TEST(MetadataStore, FindsMembers) {
  Store store;
  ASSERT_TRUE(store.put(R"({"c":3,"a":1,"b":2})"));
  const auto& object = *store.data().as<json::Value::Object>();
  for (const char* name : {"a", "b", "c"}) EXPECT_NE(find_member(object, name), nullptr);
  for (const char* name : {"", "aa", "d"}) EXPECT_EQ(find_member(object, name), nullptr);
}

}  // namespace
}  // namespace mote::metadata

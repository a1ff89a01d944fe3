#include "metadata/lookup.h"

#include <gtest/gtest.h>

#include "metadata/store.h"

namespace mote::metadata {
namespace {

constexpr const char* kData =
    R"({"latest":{"meta-data":{"ami-id":"ami-1","keys":{"0":{"ssh":"k"}},"empty":{},"n":7,)"
    R"("list":["x",{"y":"z"},[1]],"nothing":null,"yes":true,"text":""},"user-data":"#!/bin/sh\n"},)"
    R"("a/b":{"~":"t"},"":"nameless"})";

std::string at(std::string_view path, Form form) {
  Store store;
  EXPECT_TRUE(store.put(kData));
  const auto found = look_up(store.data(), path, form);
  if (found) return *found;
  return found.error().kind() == ErrorKind::kNotFound      ? "not found"
         : found.error().kind() == ErrorKind::kUnsupported ? "no such form"
                                                           : "?";
}
std::string text_at(std::string_view path) { return at(path, Form::kText); }
std::string json_at(std::string_view path) { return at(path, Form::kJson); }

TEST(MetadataLookup, ListsAnObjectAndSaysWhichNamesAreObjects) {
  EXPECT_EQ(text_at("/latest"), "meta-data/\nuser-data");
  EXPECT_EQ(text_at("/latest/meta-data"), "ami-id\nempty/\nkeys/\nlist\nn\nnothing\ntext\nyes");
  EXPECT_EQ(text_at("/latest/meta-data/empty"), "");
  EXPECT_EQ(text_at("/"), "\na/b/\nlatest/");
}

TEST(MetadataLookup, GivesAStringAsItIs) {
  EXPECT_EQ(text_at("/latest/meta-data/ami-id"), "ami-1");
  EXPECT_EQ(text_at("/latest/user-data"), "#!/bin/sh\n");
  EXPECT_EQ(text_at("/latest/meta-data/text"), "");
}

TEST(MetadataLookup, HasNoTextForOtherValues) {
  for (const char* name : {"n", "list", "nothing", "yes"}) {
    EXPECT_EQ(text_at(std::string("/latest/meta-data/") + name), "no such form") << name;
  }
}

TEST(MetadataLookup, GivesJsonOfEverything) {
  EXPECT_EQ(json_at("/latest/meta-data/keys"), R"({"0":{"ssh":"k"}})");
  EXPECT_EQ(json_at("/latest/meta-data/n"), "7");
  EXPECT_EQ(json_at("/latest/meta-data/nothing"), "null");
  EXPECT_EQ(json_at("/latest/meta-data/ami-id"), R"("ami-1")");
  EXPECT_EQ(json_at("/latest/meta-data/list"), R"(["x",{"y":"z"},[1]])");
}

TEST(MetadataLookup, MakesNothingOfSlashesTooMany) {
  for (const char* path :
       {"/latest/meta-data/ami-id/", "//latest///meta-data/ami-id", "/latest/meta-data/ami-id//"}) {
    EXPECT_EQ(text_at(path), "ami-1") << path;
  }
  EXPECT_EQ(text_at("/////"), text_at("/"));
  EXPECT_EQ(text_at(""), text_at("/"));
}

TEST(MetadataLookup, CountsIntoLists) {
  EXPECT_EQ(text_at("/latest/meta-data/list/0"), "x");
  EXPECT_EQ(text_at("/latest/meta-data/list/1/y"), "z");
  EXPECT_EQ(json_at("/latest/meta-data/list/2/0"), "1");
  for (const char* index : {"3", "-1", "+1", "01", "00", "1x", "x", "18446744073709551616", "-"}) {
    EXPECT_EQ(json_at(std::string("/latest/meta-data/list/") + index), "not found") << index;
  }
}

TEST(MetadataLookup, UnescapesAsJsonPointersDo) {
  EXPECT_EQ(text_at("/a~1b"), "~");
  EXPECT_EQ(text_at("/a~1b/~0"), "t");
  EXPECT_EQ(text_at("/a~1b/~"), "t");
  EXPECT_EQ(text_at("/a/b"), "not found");
}

TEST(MetadataLookup, FindsNothingElse) {
  for (const char* path : {"/Latest", "/latest/none", "/latest/meta-data/ami-id/x",
                           "/latest/meta-data/n/0", "/latest?x=1", "/lat", "latest/x"}) {
    EXPECT_EQ(json_at(path), "not found") << path;
  }
}

TEST(MetadataLookup, OfNoDataIsNothing) {
  const Store store;
  EXPECT_EQ(look_up(store.data(), "/x", Form::kText).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(look_up(store.data(), "/", Form::kText).error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(*look_up(store.data(), "/", Form::kJson), "null");
}

}  // namespace
}  // namespace mote::metadata

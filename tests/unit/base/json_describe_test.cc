#include "base/json_describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

namespace mote::json {

enum class Colour { Red, DarkBlue };
BOOST_DESCRIBE_ENUM(Colour, Red, DarkBlue)
constexpr auto json_names(Colour) { return std::array{name(Colour::DarkBlue, "2M")}; }

enum class Plain { One, Two };
BOOST_DESCRIBE_ENUM(Plain, One, Two)

struct Wheel {
  std::string id;
  std::optional<std::uint8_t> size;
  bool operator==(const Wheel&) const = default;
};
BOOST_DESCRIBE_STRUCT(Wheel, (), (id, size))

struct Car {
  Wheel spare;
  std::vector<Wheel> wheels;
  Colour colour = Colour::Red;
  std::optional<Plain> plain;
  std::int16_t height = 0;
  std::uint64_t weight = 0;
  bool loud = false;
  std::optional<std::string> note;
  std::optional<Value> extra;
  bool forkable = false;
};
BOOST_DESCRIBE_STRUCT(Car, (),
                      (spare, wheels, colour, plain, height, weight, loud, note, extra, forkable))
constexpr auto json_rules(const Car*) {
  return std::array{
      named("spare", "spare-wheel"), defaulted("wheels"), defaulted("colour"), defaulted("height"),
      defaulted("weight"),           defaulted("loud"),   sparse("forkable")};
}

struct Van : Car {
  std::uint32_t seats = 2;
  std::optional<std::uint8_t> load;
};
BOOST_DESCRIBE_STRUCT(Van, (Car), (seats, load))
constexpr auto json_rules(const Van*) {
  return std::array{nullable("seats", "seat-count"), named("load", "pay-load")};
}

namespace {

using testing::HasSubstr;

std::string error_of(std::string_view text) {
  const Result<Car> car = read<Car>(text);
  return car ? "no error" : car.error().text();
}

// The message for a car whose only other field is as it should be.
std::string error_of_field(std::string_view field) {
  return error_of(fmt::format(R"({{"spare-wheel":{{"id":"s"}},{}}})", field));
}

TEST(JsonRead, ReadsWhatABaseHasByTheBasesRules) {
  const Result<Van> van =
      read<Van>(R"({"spare-wheel":{"id":"s"},"seat-count":5,"weight":7,"pay-load":9})");
  ASSERT_TRUE(van) << van.error().text();
  EXPECT_EQ(van->spare.id, "s");
  EXPECT_EQ(van->weight, 7U);
  EXPECT_EQ(van->seats, 5U);
  EXPECT_EQ(van->load, 9);
  EXPECT_THAT(write(*van), testing::AllOf(testing::StartsWith(R"({"spare-wheel":{"id":"s")"),
                                          testing::EndsWith(R"("seat-count":5,"pay-load":9})")));
  EXPECT_EQ(read<Van>(R"({"seat-count":5})").error().text(),
            "spare-wheel is missing; it must be an object");
}

TEST(JsonRead, TakesNullForWhatIsNullable) {
  for (const char* seats : {"", R"(,"seat-count":null)"}) {
    const Result<Van> van = read<Van>(fmt::format(R"({{"spare-wheel":{{"id":"s"}}{}}})", seats));
    ASSERT_TRUE(van) << van.error().text();
    EXPECT_EQ(van->seats, 2U);
    EXPECT_THAT(write(*van), HasSubstr(R"("seat-count":2)"));
  }
  EXPECT_THAT(read<Van>(R"({"spare-wheel":{"id":"s"},"seat-count":"x"})").error().text(),
              testing::StartsWith("seat-count is the string"));
}

TEST(JsonRead, ReadsEveryTypeOfMember) {
  const Result<Car> car = read<Car>(R"({
    "spare-wheel": {"id": "s", "size": 255},
    "wheels": [{"id": "a"}, {"id": "b", "size": null}],
    "colour": "2M", "plain": "Two", "height": -32768, "weight": 18446744073709551615,
    "loud": true, "note": "", "extra": [1, {"x": null}], "forkable": true})");
  ASSERT_TRUE(car) << car.error().text();
  EXPECT_EQ(car->spare, (Wheel{"s", 255}));
  EXPECT_EQ(car->wheels, (std::vector<Wheel>{{"a", {}}, {"b", {}}}));
  EXPECT_EQ(car->colour, Colour::DarkBlue);
  EXPECT_EQ(car->plain, Plain::Two);
  EXPECT_EQ(car->height, -32768);
  EXPECT_EQ(car->weight, 18446744073709551615ULL);
  EXPECT_TRUE(car->loud);
  EXPECT_EQ(car->note, "");
  EXPECT_EQ(write(*car->extra), R"([1,{"x":null}])");
  EXPECT_TRUE(car->forkable);
}

TEST(JsonRead, KeepsDefaultsOfWhatIsAbsent) {
  const Result<Car> car = read<Car>(R"({"spare-wheel":{"id":"s"},"note":null,"forkable":null})");
  ASSERT_TRUE(car) << car.error().text();
  EXPECT_TRUE(car->wheels.empty());
  EXPECT_EQ(car->colour, Colour::Red);
  EXPECT_FALSE(car->plain);
  EXPECT_FALSE(car->note);
  EXPECT_FALSE(car->extra);
  EXPECT_FALSE(car->forkable);
}

TEST(JsonRead, NamesAnUnknownFieldAndTheKnownOnes) {
  EXPECT_EQ(error_of(R"({"spare-wheel":{"id":"s","Size":1}})"),
            "spare-wheel.Size is not a known field; known here are id, size");
  EXPECT_THAT(error_of_field(R"("spare":{"id":"s"})"), HasSubstr("spare is not a known field"));
}

TEST(JsonRead, NamesAMissingField) {
  EXPECT_EQ(error_of("{}"), "spare-wheel is missing; it must be an object");
  EXPECT_EQ(error_of_field(R"("wheels":[{"id":"a"},{}])"),
            "wheels[1].id is missing; it must be a string");
}

TEST(JsonRead, RefusesNullForWhatIsNotOptional) {
  EXPECT_EQ(error_of(R"({"spare-wheel":null})"), "spare-wheel is null; it must be an object");
  EXPECT_EQ(error_of_field(R"("loud":null)"), "loud is null; it must be true or false");
  EXPECT_EQ(error_of_field(R"("wheels":[null])"), "wheels[0] is null; it must be an object");
}

TEST(JsonRead, NamesWhatWasFoundAndWhatWouldBeRight) {
  EXPECT_EQ(error_of("[]"), "the document is a list; it must be an object");
  EXPECT_EQ(error_of("null"), "the document is null; it must be an object");
  EXPECT_EQ(error_of_field(R"("loud":"yes")"),
            "loud is the string \"yes\"; it must be true or false");
  EXPECT_EQ(error_of_field(R"("note":true)"), "note is true; it must be a string");
  EXPECT_EQ(error_of_field(R"("wheels":{})"), "wheels is an object; it must be a list");
  EXPECT_EQ(error_of_field(R"("weight":"1")"),
            "weight is the string \"1\"; it must be a whole number from 0 to 18446744073709551615");
}

TEST(JsonRead, ChecksTheRangeOfWholeNumbers) {
  EXPECT_EQ(error_of_field(R"("height":32768)"),
            "height is the number 32768; it must be a whole number from -32768 to 32767");
  EXPECT_THAT(error_of_field(R"("height":-32769)"), HasSubstr("height is the number -32769"));
  EXPECT_THAT(error_of_field(R"("height":18446744073709551615)"),
              HasSubstr("height is the number"));
  EXPECT_EQ(error_of(R"({"spare-wheel":{"id":"s","size":256}})"),
            "spare-wheel.size is the number 256; it must be a whole number from 0 to 255");
  for (const char* number : {"-1", "1.0", "1.5", "1e2", "-0", "18446744073709551616", "1e400"}) {
    EXPECT_NE(error_of_field(fmt::format(R"("weight":{})", number)), "no error") << number;
  }
  EXPECT_EQ(error_of_field(R"("weight":1.0)"),
            "weight is the number 1.0; it must be a whole number from 0 to 18446744073709551615");
}

TEST(JsonRead, ListsTheNamesOfAnEnum) {
  EXPECT_EQ(error_of_field(R"("colour":"red")"),
            "colour is the string \"red\"; it must be one of \"Red\", \"2M\"");
  EXPECT_EQ(error_of_field(R"("plain":1)"),
            "plain is the number 1; it must be one of \"One\", \"Two\"");
  EXPECT_NE(error_of_field(R"("colour":"DarkBlue")"), "no error");
}

TEST(JsonRead, KeepsMessagesShortAndInOneLine) {
  const std::string error = error_of_field(fmt::format(R"("{}\n":1)", std::string(100000, 'x')));
  EXPECT_LT(error.size(), 300U);
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

TEST(JsonWrite, WritesNullForAbsenceAndLeavesOutSparseDefaults) {
  Car car;
  car.spare.id = "s\"";
  EXPECT_EQ(write(car),
            R"({"spare-wheel":{"id":"s\"","size":null},"wheels":[],"colour":"Red","plain":null,)"
            R"("height":0,"weight":0,"loud":false,"note":null,"extra":null})");
  car.forkable = true;
  EXPECT_THAT(write(car), HasSubstr(R"("forkable":true)"));
}

TEST(JsonWrite, ComesBackTheSame) {
  const char* text =
      R"({"spare-wheel":{"id":"é","size":1},"wheels":[{"id":"a","size":null}],"colour":"2M",)"
      R"("plain":"One","height":-5,"weight":18446744073709551615,"loud":true,"note":"n",)"
      R"("extra":{"a":[1.5]},"forkable":true})";
  const Result<Car> car = read<Car>(text);
  ASSERT_TRUE(car) << car.error().text();
  EXPECT_EQ(write(*car), text);
}

}  // namespace
}  // namespace mote::json

#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace mote {
namespace {

Result<int> halve(int value) {
  if (value % 2 != 0) return fail(ErrorKind::kInvalid, "{} is odd", value);
  return value / 2;
}

Result<int> quarter(int value) {
  MOTE_TRY(const int half, halve(value));
  MOTE_TRY(const int result, halve(half));
  return result;
}

Result<void> check_quarter(int value) {
  MOTE_CHECK_WITHIN(halve(value), "the first half of {}", value);
  MOTE_CHECK(quarter(value));
  return {};
}

TEST(Result, PassesValuesAndErrorsUp) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(3).error().text(), "3 is odd");
  EXPECT_EQ(quarter(6).error().text(), "3 is odd");
  EXPECT_TRUE(check_quarter(4));
  EXPECT_EQ(check_quarter(6).error().text(), "3 is odd");
}

TEST(Result, MovesWhatCannotBeCopied) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  const auto use = [&]() -> Result<int> {
    MOTE_TRY(const std::unique_ptr<int> value, make());
    return *value;
  };
  EXPECT_EQ(*use(), 5);
}

TEST(Error, KeepsItsKindAndItsCauses) {
  const Result<void> result = check_quarter(5);
  const Error& error = result.error();
  EXPECT_EQ(error.text(), "the first half of 5: 5 is odd");
  EXPECT_EQ(error.message(), "the first half of 5");
  EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
  ASSERT_NE(error.cause(), nullptr);
  EXPECT_EQ(error.cause()->message(), "5 is odd");
  EXPECT_EQ(error.cause()->cause(), nullptr);
  const Error outer = Error(error).within("outermost");
  EXPECT_EQ(outer.text(), "outermost: the first half of 5: 5 is odd");
  EXPECT_EQ(outer.kind(), ErrorKind::kInvalid);
}

TEST(Error, NamesErrnoValues) {
  EXPECT_EQ(errno_text(ENOENT), "No such file or directory (ENOENT)");
  EXPECT_EQ(errno_text(99999), "error 99999");
  const std::unexpected<Error> failure = fail_errno(EACCES, "open '{}'", "/x");
  EXPECT_EQ(failure.error().text(), "open '/x': Permission denied (EACCES)");
  EXPECT_EQ(failure.error().kind(), ErrorKind::kPermission);
}

TEST(Error, TellsTheKindOfErrnoValues) {
  EXPECT_EQ(kind_of_errno(ENOENT), ErrorKind::kNotFound);
  EXPECT_EQ(kind_of_errno(EISDIR), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of_errno(ENOSYS), ErrorKind::kUnsupported);
  EXPECT_EQ(kind_of_errno(EMFILE), ErrorKind::kResource);
  EXPECT_EQ(kind_of_errno(EBUSY), ErrorKind::kState);
  EXPECT_EQ(kind_of_errno(EIO), ErrorKind::kIo);
  EXPECT_EQ(kind_of_errno(99999), ErrorKind::kIo);
}

}  // namespace
}  // namespace mote

#include "metadata/token.h"

#include <gtest/gtest.h>

#include <set>

namespace mote::metadata {
namespace {

class TokensTest : public testing::Test {
 protected:
  std::string issued(std::uint32_t life) {
    auto token = tokens.issue(life);
    EXPECT_TRUE(token) << token.error().text();
    return token.value_or("");
  }

  std::chrono::milliseconds time{12345};
  Tokens tokens{[this] { return time; }};
};

TEST_F(TokensTest, AreGoodUntilTheirTimeIsOver) {
  const std::string token = issued(60);
  EXPECT_TRUE(tokens.good(token));
  time += std::chrono::seconds(60) - std::chrono::milliseconds(1);
  EXPECT_TRUE(tokens.good(token));
  time += std::chrono::milliseconds(1);
  EXPECT_FALSE(tokens.good(token));
}

TEST_F(TokensTest, LiveFromASecondToSixHours) {
  for (const std::uint32_t life : {1U, 21600U}) EXPECT_TRUE(tokens.issue(life));
  for (const std::uint32_t life : {0U, 21601U, 0xffffffffU}) {
    const auto refused = tokens.issue(life);
    ASSERT_FALSE(refused) << life;
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
  }
}

TEST_F(TokensTest, AreTextThatAHeaderTakesAndNeverTheSame) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string token = issued(60);
    EXPECT_EQ(token.size(), Tokens::kLength);
    EXPECT_EQ(
        token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        std::string::npos)
        << token;
    EXPECT_TRUE(seen.insert(token).second);
  }
}

TEST_F(TokensTest, OfAnotherServiceAreWorthNothing) {
  Tokens other([this] { return time; });
  const std::string token = issued(60);
  EXPECT_FALSE(other.good(token)) << "before it has a key";
  ASSERT_TRUE(other.issue(60));
  EXPECT_FALSE(other.good(token));
  EXPECT_TRUE(tokens.good(token));
}

TEST_F(TokensTest, DoNotBearAChangedBit) {
  const std::string token = issued(60);
  for (std::size_t i = 0; i < token.size(); ++i) {
    for (const char c : {'A', 'B', '-', '_', '9', '=', '\0', '+'}) {
      std::string forged = token;
      if (forged[i] == c) continue;
      forged[i] = c;
      EXPECT_FALSE(tokens.good(forged)) << i << c;
    }
  }
}

TEST_F(TokensTest, HaveNoOtherSpelling) {
  const std::string token = issued(60);
  for (std::size_t i = 0; i < token.size(); ++i) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string other = token;
      other[i] = static_cast<char>(byte);
      EXPECT_EQ(tokens.good(other), other == token) << i << ' ' << byte;
    }
  }
}

TEST_F(TokensTest, AreWhole) {
  const std::string token = issued(60);
  for (const std::string& forged :
       {std::string(), token.substr(1), token.substr(0, 63), token + "A", token + token,
        std::string(64, 'A'), std::string(64, ' '), std::string(65536, 'A')}) {
    EXPECT_FALSE(tokens.good(forged)) << forged;
  }
}

TEST(Tokens, GoByAClockThatRuns) {
  Tokens tokens;
  const auto token = tokens.issue(1);
  ASSERT_TRUE(token);
  EXPECT_TRUE(tokens.good(*token));
}

}  // namespace
}  // namespace mote::metadata

// What mote-init accepts as its configuration, and what it says of the rest.
#include "config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Parsed {
 public:
  explicit Parsed(std::string text) : text_(std::move(text)) {
    char error[kConfigErrorSize] = "";
    good_ = config_parse(text_.data(), text_.size(), &config_, error);
    error_ = error;
  }
  Parsed(std::initializer_list<std::string_view> records) : Parsed(join(records)) {}
  ~Parsed() { config_free(&config_); }
  Parsed(const Parsed&) = delete;
  Parsed& operator=(const Parsed&) = delete;

  bool good() const { return good_; }
  const std::string& error() const { return error_; }
  const Config& config() const { return config_; }

  static std::vector<std::string> strings(const char** list) {
    std::vector<std::string> all;
    for (; *list != nullptr; ++list) all.emplace_back(*list);
    return all;
  }

 private:
  static std::string join(std::initializer_list<std::string_view> records) {
    std::string text;
    for (const std::string_view record : records) (text += record) += '\0';
    return text;
  }

  std::string text_;
  Config config_{};
  bool good_ = false;
  std::string error_;
};

TEST(GuestInitConfig, ReadsEveryKey) {
  const Parsed parsed{
      "arg=sh",          "arg=-c",      "arg=exit 7",    "env=A=1",
      "env=B=x=y",       "env=EMPTY=",  "workdir=/srv",  "root=/dev/vda",
      "rootfs=squashfs", "hostname=h1", "tty=1",         "rows=24",
      "cols=80",         "term=vt100",  "user=1000:100", "time=1700000000000000001"};
  ASSERT_TRUE(parsed.good()) << parsed.error();
  const Config& config = parsed.config();
  EXPECT_THAT(Parsed::strings(config.args), ElementsAre("sh", "-c", "exit 7"));
  EXPECT_THAT(Parsed::strings(config.env), ElementsAre("A=1", "B=x=y", "EMPTY="));
  EXPECT_STREQ(config.workdir, "/srv");
  EXPECT_STREQ(config.root, "/dev/vda");
  EXPECT_STREQ(config.rootfs, "squashfs");
  EXPECT_STREQ(config.hostname, "h1");
  EXPECT_TRUE(config.tty);
  EXPECT_EQ(config.rows, 24);
  EXPECT_EQ(config.columns, 80);
  EXPECT_STREQ(config.term, "vt100");
  EXPECT_TRUE(config.has_user);
  EXPECT_EQ(config.uid, 1000U);
  EXPECT_EQ(config.gid, 100U);
  EXPECT_EQ(config.time_ns, 1700000000000000001U);
}

TEST(GuestInitConfig, ACommandAloneIsEnough) {
  const Parsed parsed{"arg=true"};
  ASSERT_TRUE(parsed.good()) << parsed.error();
  EXPECT_THAT(Parsed::strings(parsed.config().env), IsEmpty());
  EXPECT_EQ(parsed.config().root, nullptr);
  EXPECT_EQ(parsed.config().workdir, nullptr);
  EXPECT_FALSE(parsed.config().tty);
  EXPECT_FALSE(parsed.config().has_user);
}

TEST(GuestInitConfig, WordsAreKeptByteForByte) {
  const Parsed parsed{"arg=printf", "arg=", "arg=a=b\nc\t\xff\x01", "arg= "};
  ASSERT_TRUE(parsed.good()) << parsed.error();
  EXPECT_THAT(Parsed::strings(parsed.config().args),
              ElementsAre("printf", "", "a=b\nc\t\xff\x01", " "));
}

TEST(GuestInitConfig, AUserWithoutAGroupHasTheGroupOfItsNumber) {
  const Parsed parsed{"arg=id", "user=33"};
  ASSERT_TRUE(parsed.good()) << parsed.error();
  EXPECT_EQ(parsed.config().uid, 33U);
  EXPECT_EQ(parsed.config().gid, 33U);
}

TEST(GuestInitConfig, ManyWordsAndVariables) {
  std::string text;
  for (int i = 0; i < 5000; ++i) {
    text += "arg=" + std::to_string(i) + '\0';
    text += "env=V" + std::to_string(i) + "=x" + '\0';
  }
  const Parsed parsed(text);
  ASSERT_TRUE(parsed.good()) << parsed.error();
  EXPECT_EQ(Parsed::strings(parsed.config().args).size(), 5000U);
  EXPECT_EQ(Parsed::strings(parsed.config().env).back(), "V4999=x");
}

struct Refusal {
  std::initializer_list<std::string_view> records;
  std::string_view says;
};

class GuestInitConfigRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(GuestInitConfigRefuses, AndSaysWhy) {
  const Parsed parsed(GetParam().records);
  EXPECT_FALSE(parsed.good());
  EXPECT_THAT(parsed.error(), HasSubstr(std::string(GetParam().says)));
}

// The lists live as long as the program: an initializer list does not own its array.
constexpr std::initializer_list<std::string_view> kNoCommand = {"env=A=1"};
constexpr std::initializer_list<std::string_view> kEmptyCommand = {"arg="};
constexpr std::initializer_list<std::string_view> kUnknownKey = {"arg=a", "colour=red"};
constexpr std::initializer_list<std::string_view> kPrefixOfKey = {"arg=a", "ro=/dev/vda"};
constexpr std::initializer_list<std::string_view> kNoEquals = {"arg=a", "tty"};
constexpr std::initializer_list<std::string_view> kEmptyRecord = {"arg=a", ""};
constexpr std::initializer_list<std::string_view> kEnvWithoutValue = {"arg=a", "env=A"};
constexpr std::initializer_list<std::string_view> kEnvWithoutName = {"arg=a", "env==1"};
constexpr std::initializer_list<std::string_view> kRelativeWorkdir = {"arg=a", "workdir=srv"};
constexpr std::initializer_list<std::string_view> kRootElsewhere = {"arg=a", "root=/etc/passwd"};
constexpr std::initializer_list<std::string_view> kRootTwice = {"arg=a", "root=/dev/vda",
                                                                "root=/dev/vdb"};
constexpr std::initializer_list<std::string_view> kUnknownFilesystem = {"arg=a", "rootfs=btrfs"};
constexpr std::initializer_list<std::string_view> kEmptyHost = {"arg=a", "hostname="};
constexpr std::initializer_list<std::string_view> kLongHost = {
    "arg=a", "hostname=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
constexpr std::initializer_list<std::string_view> kTty = {"arg=a", "tty=yes"};
constexpr std::initializer_list<std::string_view> kNegativeRows = {"arg=a", "rows=-1"};
constexpr std::initializer_list<std::string_view> kManyColumns = {"arg=a", "cols=65536"};
constexpr std::initializer_list<std::string_view> kNamedUser = {"arg=a", "user=root"};
constexpr std::initializer_list<std::string_view> kUserThatMeansNoChange = {"arg=a",
                                                                            "user=4294967295"};
constexpr std::initializer_list<std::string_view> kUserWithoutGroup = {"arg=a", "user=1:"};
constexpr std::initializer_list<std::string_view> kUserWithMore = {"arg=a", "user=1:2:3"};
constexpr std::initializer_list<std::string_view> kTime = {"arg=a", "time=99999999999999999999"};

INSTANTIATE_TEST_SUITE_P(
    Records, GuestInitConfigRefuses,
    testing::Values(Refusal{kNoCommand, "names no command"},
                    Refusal{kEmptyCommand, "name is empty"},
                    Refusal{kUnknownKey, "'colour' is not a key"},
                    Refusal{kPrefixOfKey, "'ro' is not a key"}, Refusal{kNoEquals, "'tty'"},
                    Refusal{kEmptyRecord, "key=value"}, Refusal{kEnvWithoutValue, "env=A "},
                    Refusal{kEnvWithoutName, "env==1"}, Refusal{kRelativeWorkdir, "absolute"},
                    Refusal{kRootElsewhere, "/dev/"}, Refusal{kRootTwice, "root is given twice"},
                    Refusal{kUnknownFilesystem, "ext4, squashfs or erofs"},
                    Refusal{kEmptyHost, "0 characters"}, Refusal{kLongHost, "65 characters"},
                    Refusal{kTty, "tty=yes"}, Refusal{kNegativeRows, "rows=-1"},
                    Refusal{kManyColumns, "cols=65536"}, Refusal{kNamedUser, "user=root"},
                    Refusal{kUserThatMeansNoChange, "UID[:GID]"},
                    Refusal{kUserWithoutGroup, "user=1:"}, Refusal{kUserWithMore, "user=1:2:3"},
                    Refusal{kTime, "nanoseconds"}));

TEST(GuestInitConfig, RefusesATextThatIsCutShort) {
  for (const std::string& text :
       {std::string(), std::string("arg=a"), std::string("arg=a\0arg=b", 11)}) {
    const Parsed parsed(text);
    EXPECT_FALSE(parsed.good());
    EXPECT_THAT(parsed.error(), HasSubstr("NUL"));
  }
}

TEST(GuestInitConfig, AMessageAboutALongRecordIsCut) {
  const Parsed parsed("arg=a" + std::string(1, '\0') + std::string(100000, 'k') + "=v" + '\0');
  EXPECT_FALSE(parsed.good());
  EXPECT_LT(parsed.error().size(), static_cast<std::size_t>(kConfigErrorSize));
}

}  // namespace

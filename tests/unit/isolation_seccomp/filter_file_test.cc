// Files of filters: Firecracker's layout, and what a hostile one may hold.
#include "isolation/seccomp/filter_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>

namespace mote::seccomp::test {
namespace {

using ::testing::HasSubstr;

const OwnedProgram kAllow{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};

Result<FilterMap> parse(const std::string& bytes) {
  return parse_filters(std::as_bytes(std::span(bytes)));
}
std::string error_of(const std::string& bytes) {
  const auto parsed = parse(bytes);
  return parsed ? "none" : parsed.error().text();
}
std::string number(std::uint64_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string one(const std::string& name, const std::string& code) {
  return number(1) + number(name.size()) + name + number(code.size() / 8) + code;
}

TEST(FilterFile, IsWhatFirecrackersCompilerWrites) {
  // As bincode writes a map of one name to a list of one number, with integers of fixed width.
  const std::string bytes = number(1) + number(3) + "vmm" + number(1) + number(0x7fff000000000006);
  const auto parsed = parse(bytes);
  ASSERT_TRUE(parsed) << parsed.error().text();
  ASSERT_TRUE(parsed->contains("vmm"));
  const sock_filter& it = parsed->at("vmm").front();
  EXPECT_EQ(it.code, BPF_RET | BPF_K);
  EXPECT_EQ(it.k, SECCOMP_RET_ALLOW);
  EXPECT_EQ(write_filters(*parsed), bytes);
}

TEST(FilterFile, IsReadAsItWasWritten) {
  FilterMap filters{{"api", kAllow}, {"vcpu", kAllow}, {"vmm", kAllow}};
  filters["vmm"].insert(filters["vmm"].begin(), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0));
  const auto parsed = parse(write_filters(filters));
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->size(), 3U);
  EXPECT_EQ(parsed->at("vmm").size(), 2U);
}

TEST(FilterFile, LettersOfANameMayBeLarge) {
  const auto parsed = parse(write_filters({{"API", kAllow}, {"Vmm", kAllow}}));
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_TRUE(parsed->contains("vmm") && parsed->contains("api"));
  EXPECT_THAT(error_of(write_filters({{"Vmm", kAllow}, {"vmm", kAllow}})), HasSubstr("twice"));
}

TEST(FilterFile, CutAnywhereIsRefused) {
  const std::string whole = write_filters({{"api", kAllow}, {"vmm", kAllow}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse(whole.substr(0, size))) << size;
  }
  EXPECT_THAT(error_of(whole + "x"), HasSubstr("1 bytes after its last filter"));
}

TEST(FilterFile, LiesAreRefused) {
  const std::string code = number(0x7fff000000000006);
  EXPECT_THAT(error_of(number(17)), HasSubstr("17 filters"));
  EXPECT_THAT(error_of(number(~0ULL)), HasSubstr("filters"));
  EXPECT_THAT(error_of(number(1) + number(~0ULL) + number(0)), HasSubstr("bytes of a name"));
  EXPECT_THAT(error_of(number(1) + number(65) + std::string(200, 'a')), HasSubstr("65 bytes"));
  EXPECT_THAT(error_of(number(1) + number(3) + "vmm" + number(1ULL << 61)),
              HasSubstr("instructions"));
  EXPECT_THAT(error_of(number(1) + number(3) + "vmm" + number(4097) + std::string(40000, '\0')),
              HasSubstr("4097 instructions"));
  EXPECT_THAT(error_of(one("", code)), HasSubstr("names a filter \"\""));
  EXPECT_THAT(error_of(one("a\nb", code)), HasSubstr("names a filter"));
  EXPECT_THAT(error_of(one("vmm", "")), HasSubstr("no instruction"));
  EXPECT_THAT(error_of(one("vmm", number(0xffff))), HasSubstr("unknown code"));
  EXPECT_THAT(error_of(number(2) + one("vmm", code).substr(8) + one("vmm", code).substr(8)),
              HasSubstr("twice"));
}

}  // namespace
}  // namespace mote::seccomp::test

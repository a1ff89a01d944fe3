#include "metadata/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json_describe.h"

namespace mote::metadata {
namespace {

using testing::HasSubstr;

MmdsConfig at(const std::string& address) {
  return {.network_interfaces = {"eth0"}, .ipv4_address = address};
}

std::string error_of(const MmdsConfig& config) {
  const auto checked = check(config);
  return checked ? "no error" : checked.error().text();
}

std::string error_of(std::string_view text) {
  const auto config = json::read<MmdsConfig>(text);
  return config ? error_of(*config) : config.error().text();
}

TEST(MmdsConfig, HasDefaultsForAllButTheInterfaces) {
  const auto config = json::read<MmdsConfig>(R"({"network_interfaces":["a"],"ipv4_address":null})");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_TRUE(check(*config));
  EXPECT_EQ(json::write(*config), R"({"version":"V1","network_interfaces":["a"],)"
                                  R"("ipv4_address":"169.254.169.254","imds_compat":false})");
}

TEST(MmdsConfig, ReadsAllFields) {
  const auto config = json::read<MmdsConfig>(
      R"({"version":"V2","network_interfaces":["a","b","a"],"ipv4_address":"169.254.170.2",)"
      R"("imds_compat":true})");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_TRUE(check(*config));
  EXPECT_EQ(*config, (MmdsConfig{.version = Version::V2,
                                 .network_interfaces = {"a", "b", "a"},
                                 .ipv4_address = "169.254.170.2",
                                 .imds_compat = true}));
}

TEST(MmdsConfig, RefusesWhatIsMistypedMissingOrUnknown) {
  EXPECT_THAT(error_of("{}"), HasSubstr("network_interfaces"));
  EXPECT_THAT(error_of(R"({"network_interfaces":[]})"), HasSubstr("network_interfaces is empty"));
  for (const char* interfaces : {"null", "{}", "\"x\"", "1", "[1]", "[null]", "[[]]"}) {
    EXPECT_THAT(error_of(fmt::format(R"({{"network_interfaces":{}}})", interfaces)),
                HasSubstr("network_interfaces"));
  }
  for (const char* field :
       {R"("version":null)", R"("version":"V3")", R"("version":"v2")", R"("version":2)",
        R"("imds_compat":null)", R"("imds_compat":1)", R"("imds_compat":"true")",
        R"("ipv4_address":1)", R"("ipv4_address":"")", R"("zzz":1)"}) {
    EXPECT_NE(error_of(fmt::format(R"({{"network_interfaces":["a"],{}}})", field)), "no error")
        << field;
  }
}

TEST(MmdsConfig, TakesLinkLocalAddressesThatAreNotReserved) {
  for (const char* good :
       {"169.254.1.0", "169.254.169.254", "169.254.254.255", "169.254.1.1", "169.254.100.0"}) {
    EXPECT_EQ(error_of(at(good)), "no error") << good;
  }
  for (const char* bad :
       {"169.254.0.1",     "169.254.0.255",      "169.254.255.0", "169.254.255.1",
        "10.0.0.1",        "169.253.1.1",        "169.254.169",   "169.254.169.254.1",
        "169.254.169.256", "169.254.169.254/32", "::1",           "",
        "0169.254.1.1",    "169.254.01.1",       "169.254.1.1.",  ".169.254.1.1",
        "169..1.1",        "169.254.1.-1",       "169.254.1. 1",  "169.254.+1.1",
        "4294967296"}) {
    EXPECT_THAT(error_of(at(bad)), HasSubstr("ipv4_address is")) << bad;
  }
  EXPECT_THAT(error_of(at(std::string("169.254.1.1\0", 12))), HasSubstr("ipv4_address is"));
}

TEST(MmdsConfig, ReadsAddresses) {
  EXPECT_EQ(parse_ipv4("169.254.169.254"), 0xa9fea9feU);
  EXPECT_EQ(parse_ipv4("0.0.0.0"), 0U);
  EXPECT_EQ(parse_ipv4("255.255.255.255"), 0xffffffffU);
}

TEST(MmdsConfig, WantsInterfacesThatAreThere) {
  const std::vector<std::string_view> there{"eth0", "eth1"};
  EXPECT_TRUE(check_interfaces({.network_interfaces = {"eth1", "eth1"}}, there));
  const auto refused = check_interfaces({.network_interfaces = {"eth0", "zz"}}, there);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(refused.error().text(), HasSubstr("network_interfaces[1] is \"zz\""));
}

}  // namespace
}  // namespace mote::metadata

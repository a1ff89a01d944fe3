// What a user may say of an interface.
#include <gtest/gtest.h>

#include "base/json_describe.h"
#include "virtio/net/config.h"

namespace mote::virtio::test {
namespace {

Result<NetConfig> parse(const std::string& text) {
  MOTE_TRY(NetConfig config, json::read<NetConfig>(text));
  MOTE_CHECK(check(config));
  return config;
}

// The message that `fields`, behind an id and a tap, are refused with; empty: they are not.
std::string refusal(const std::string& fields, const std::string& tap = R"("host_dev_name":"t0")") {
  const auto config = parse(R"({"iface_id":"eth")" + (tap.empty() ? "" : "," + tap) +
                            (fields.empty() ? "" : "," + fields) + "}");
  return config ? std::string() : config.error().text();
}

TEST(NetConfig, TheLeast) {
  const auto config = parse(R"({"iface_id":"eth","host_dev_name":"tap0"})");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->num_queues, 1U);
  EXPECT_FALSE(config->guest_mac);
  EXPECT_EQ(json::write(*config),
            R"({"iface_id":"eth","host_dev_name":"tap0","guest_mac":null,"mtu":null,)"
            R"("rx_rate_limiter":null,"tx_rate_limiter":null})")
      << "what is ours is not seen by those who do not know it";
}

TEST(NetConfig, Everything) {
  const auto config = parse(
      R"({"iface_id":"eth","tap_fds":[3,4],"guest_mac":"AA:bb:CC:00:11:22","mtu":68,"num_queues":2})");
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->tap_fds, (std::vector<std::int32_t>{3, 4}));
}

TEST(NetConfig, Names) {
  const auto name = [](const std::string& name) {
    return refusal("", R"("host_dev_name":")" + name + '"');
  };
  for (const char* good : {"tap0", "aaaaaaaaaaaaaaa", "a.b-c_d", "vm%d", "", "\xc3\xa9"}) {
    EXPECT_EQ(name(good), "") << good;
  }
  for (const char* bad : {"aaaaaaaaaaaaaaaa", "a b", "a/b", "a:b", ".", "..", R"(a\u0000b)",
                          R"(a\nb)", " ", "%", "%s", "a%d%d", "%dd%"}) {
    const std::string why = name(bad);
    EXPECT_NE(why.find("interface \"eth\": host_dev_name"), std::string::npos) << bad << why;
  }
  EXPECT_NE(refusal("", "").find("host_dev_name is missing"), std::string::npos);
  EXPECT_NE(refusal("", R"("host_dev_name":null)").find("host_dev_name is missing"),
            std::string::npos);
  const auto anonymous = parse(R"({"iface_id":"","host_dev_name":"t"})");
  ASSERT_FALSE(anonymous);
  EXPECT_NE(anonymous.error().text().find("iface_id"), std::string::npos);
}

TEST(NetConfig, Addresses) {
  for (const char* good : {"06:00:00:00:00:01", "AA:bb:CC:dd:EE:ff", "00:00:00:00:00:00",
                           "ff:ff:ff:ff:ff:ff", "01:00:00:00:00:01"}) {
    EXPECT_EQ(refusal(R"("guest_mac":")" + std::string(good) + '"'), "") << good;
  }
  for (const char* bad :
       {"", "x", "06-00-00-00-00-01", "06:00:00:00:00", "06:00:00:00:00:01:02", "6:0:0:0:0:1",
        "gg:00:00:00:00:01", " 06:00:00:00:00:01", "06:00:00:00:00:01 ", "06:00:00:00:00:0x",
        "+6:00:00:00:00:01", "06:00:00:00:00-01", "060000000001"}) {
    const std::string why = refusal(R"("guest_mac":")" + std::string(bad) + '"');
    EXPECT_NE(why.find("guest_mac is"), std::string::npos) << bad << why;
  }
}

TEST(NetConfig, Numbers) {
  for (const char* good : {"68", "1500", "65535"}) {
    EXPECT_EQ(refusal(R"("mtu":)" + std::string(good)), "") << good;
  }
  for (const char* bad : {"0", "67", "65536", "4294967295", "4294967296", "-1", "1.5", "\"1\""}) {
    EXPECT_NE(refusal(R"("mtu":)" + std::string(bad)).find("mtu"), std::string::npos) << bad;
  }
  EXPECT_EQ(refusal(R"("num_queues":32)"), "");
  for (const char* bad : {"0", "33", "65536", "-1", "true"}) {
    EXPECT_NE(refusal(R"("num_queues":)" + std::string(bad)).find("num_queues"), std::string::npos)
        << bad;
  }
}

TEST(NetConfig, Descriptors) {
  EXPECT_EQ(refusal("", R"("tap_fds":[3])"), "");
  for (const char* bad : {R"("tap_fds":[])", R"("tap_fds":[2])", R"("tap_fds":[-1])",
                          R"("tap_fds":[3,4])", R"("tap_fds":[3,3],"num_queues":2)",
                          R"("tap_fds":[3],"host_dev_name":"t")", R"("tap_fds":[4294967296])"}) {
    EXPECT_NE(refusal("", bad), "") << bad;
  }
}

TEST(NetConfig, InterfacesShareNothing) {
  const auto together = [](std::vector<NetConfig> configs) {
    const auto checked = check_together(configs);
    return checked ? std::string() : checked.error().text();
  };
  const auto has = [](const std::string& text, const char* what) {
    return text.find(what) != std::string::npos;
  };
  EXPECT_EQ(together({}), "");
  EXPECT_EQ(together({{.iface_id = "a", .host_dev_name = "t0"},
                      {.iface_id = "b", .host_dev_name = "t1"}}),
            "");
  EXPECT_EQ(together({{.iface_id = "a", .host_dev_name = "vm%d"},
                      {.iface_id = "b", .host_dev_name = "vm%d"},
                      {.iface_id = "c", .host_dev_name = ""},
                      {.iface_id = "d", .host_dev_name = ""}}),
            "")
      << "the host chooses a name for each";
  EXPECT_TRUE(has(together({{.iface_id = "a", .host_dev_name = "t0"},
                            {.iface_id = "b", .host_dev_name = "t0"}}),
                  "host_dev_name"));
  EXPECT_TRUE(has(together({{.iface_id = "a", .guest_mac = "06:00:00:00:00:0a"},
                            {.iface_id = "b", .guest_mac = "06:00:00:00:00:0A"}}),
                  "guest_mac"));
  EXPECT_TRUE(
      has(together({{.iface_id = "a", .tap_fds = {3, 4}}, {.iface_id = "b", .tap_fds = {5, 4}}}),
          "tap_fds"));
}

}  // namespace
}  // namespace mote::virtio::test

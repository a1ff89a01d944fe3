#include "network/mac_address.h"

#include <gtest/gtest.h>

namespace mote::network::test {
namespace {

TEST(MacAddress, GoesBothWays) {
  const auto address = parse_mac("0A:1b:2C:3d:4E:ff");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->bytes, (std::array<std::uint8_t, 6>{0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0xff}));
  EXPECT_EQ(to_string(*address), "0a:1b:2c:3d:4e:ff");
}

TEST(MacAddress, RefusesEverythingElse) {
  for (const char* text :
       {"", "0", "0a:1b:2c:3d:4e", "0a:1b:2c:3d:4e:f", "0a:1b:2c:3d:4e:ff:", "0a-1b-2c-3d-4e-ff",
        "0a:1b:2c:3d:4e:fg", "-a:1b:2c:3d:4e:ff", "0x:1b:2c:3d:4e:ff", "0a:1b:2c:3d:4e:f "}) {
    EXPECT_FALSE(parse_mac(text)) << text;
  }
}

}  // namespace
}  // namespace mote::network::test

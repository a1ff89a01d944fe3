// The AML builder against byte sequences written out by hand from ACPI's chapter 20.

#include "arch/x86_64/acpi/aml.h"

#include <gtest/gtest.h>

namespace mote::arch::acpi {
namespace {

TEST(Aml, IntegersTakeTheShortestForm) {
  EXPECT_EQ(integer(0), (Bytes{0x00}));
  EXPECT_EQ(integer(1), (Bytes{0x01}));
  EXPECT_EQ(integer(2), (Bytes{0x0a, 2}));
  EXPECT_EQ(integer(255), (Bytes{0x0a, 255}));
  EXPECT_EQ(integer(256), (Bytes{0x0b, 0, 1}));
  EXPECT_EQ(integer(0xc0001000), (Bytes{0x0c, 0, 0x10, 0, 0xc0}));
  EXPECT_EQ(integer(1ULL << 32), (Bytes{0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST(Aml, IdentifiersAreCompressed) {
  // As any PC's table has it: PNP0A03 is 0x030ad041.
  EXPECT_EQ(eisa_id("PNP0A03"), (Bytes{0x0c, 0x41, 0xd0, 0x0a, 0x03}));
  EXPECT_EQ(eisa_id("PNP0501"), (Bytes{0x0c, 0x41, 0xd0, 0x05, 0x01}));
}

TEST(Aml, NamesArePaddedAndPrefixed) {
  EXPECT_EQ(name("A", integer(0)), (Bytes{0x08, 'A', '_', '_', '_', 0}));
  EXPECT_EQ(name("\\_S5", integer(1)), (Bytes{0x08, '\\', '_', 'S', '5', '_', 1}));
  EXPECT_EQ(notify("\\_SB.VGEN", 0x80),
            (Bytes{0x86, '\\', 0x2e, '_', 'S', 'B', '_', 'V', 'G', 'E', 'N', 0x0a, 0x80}));
  EXPECT_EQ(name("A.B.C", integer(0)),
            (Bytes{0x08, 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_', 0}));
}

TEST(Aml, PackagesCountTheirElements) {
  EXPECT_EQ(package({integer(5), integer(0)}), (Bytes{0x12, 5, 2, 0x0a, 5, 0}));
  EXPECT_EQ(package({}), (Bytes{0x12, 2, 0}));
}

// Lengths count their own bytes: around 64, 4096 and 1 MiB another byte is needed.
TEST(Aml, LengthsGrowWithTheirContent) {
  const auto head = [](std::size_t content) {
    const std::vector<Bytes> terms = {Bytes(content - 4)};  // and the name takes 4
    const Bytes whole = scope("ABCD", terms);
    return Bytes(whole.begin() + 1, whole.begin() + 4);
  };
  EXPECT_EQ(head(62)[0], 63);
  EXPECT_EQ(head(63)[0], 0x40 | (65 & 0xf));
  EXPECT_EQ(head(63)[1], 65 >> 4);
  EXPECT_EQ(head(4093)[0], 0x40 | 0xf);
  EXPECT_EQ(head(4093)[1], 0xff);
  EXPECT_EQ(head(4094)[0], 0x80 | (4097 & 0xf));
  EXPECT_EQ(head(4094)[1], 4097 >> 4 & 0xff);
  EXPECT_EQ(head(4094)[2], 4097 >> 12);
  EXPECT_EQ(head((1 << 20) - 3)[0] >> 6, 3);
}

TEST(Aml, MethodsTellArgumentsAndSerialization) {
  const Bytes body = if_equal(argument(0), integer(9), {notify("A", 1)});
  EXPECT_EQ(body, (Bytes{0xa0, 11, 0x93, 0x68, 0x0a, 9, 0x86, 'A', '_', '_', '_', 1}));
  const Bytes whole = method("_EVT", 1, true, {body});
  EXPECT_EQ(whole[0], 0x14);
  EXPECT_EQ(whole[1], whole.size() - 1);
  EXPECT_EQ(whole[6], 1 | 1 << 3);
}

TEST(Aml, ResourcesAreABufferWithAnEndTag) {
  const Bytes whole =
      resources({memory32(0xc0001000, 0x1000), io_ports(0x3f8, 8), edge_interrupt(5)});
  constexpr std::uint8_t kSize = 12 + 8 + 9 + 2;
  const Bytes expected = {0x11, kSize + 3, 0x0a, kSize,                                         //
                          0x86, 9,         0,    1,     0x00, 0x10, 0x00, 0xc0, 0, 0x10, 0, 0,  //
                          0x47, 1,         0xf8, 3,     0xf8, 3,    1,    8,                    //
                          0x89, 6,         0,    3,     1,    5,    0,    0,    0,              //
                          0x79, 0};
  EXPECT_EQ(whole, expected);
}

}  // namespace
}  // namespace mote::arch::acpi

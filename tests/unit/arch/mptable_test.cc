#include "arch/x86_64/mptable.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <string>

#include "arch/support.h"
#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

std::uint8_t sum(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint8_t>(std::accumulate(bytes.begin(), bytes.end(), 0U));
}

template <typename T>
T get(const Bytes& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// Counts entries by type, walking them as a kernel does.
std::map<int, unsigned> count_entries(const Bytes& table) {
  std::map<int, unsigned> counts;
  std::size_t at = 44;
  while (at < table.size()) {
    ++counts[table[at]];
    at += table[at] == 0 ? 20 : 8;
  }
  EXPECT_EQ(at, table.size());
  return counts;
}

TEST(MpTable, IsWholeForEveryNumberOfProcessors) {
  for (unsigned cpus = 1; cpus <= layout::kMaxCpus; ++cpus) {
    const auto bytes = make_mp_table(layout::kMpTable, cpus);
    ASSERT_TRUE(bytes) << error_of(bytes);
    EXPECT_LE(bytes->size(), layout::kMpTableMaxSize);
    EXPECT_EQ(std::string(bytes->begin(), bytes->begin() + 4), "_MP_");
    EXPECT_EQ(sum(std::span(*bytes).first(16)), 0);
    EXPECT_EQ(get<std::uint32_t>(*bytes, 4), layout::kMpTable + 16);

    const Bytes table(bytes->begin() + 16, bytes->end());
    EXPECT_EQ(std::string(table.begin(), table.begin() + 4), "PCMP");
    EXPECT_EQ(get<std::uint16_t>(table, 4), table.size());
    EXPECT_EQ(sum(table), 0);
    EXPECT_EQ(get<std::uint32_t>(table, 36), layout::kLocalApic);
    const auto counts = count_entries(table);
    const std::map<int, unsigned> expected = {{0, cpus}, {1, 1}, {2, 1}, {3, 24}, {4, 2}};
    EXPECT_EQ(counts, expected);
    EXPECT_EQ(get<std::uint16_t>(table, 34), cpus + 1 + 1 + 24 + 2);
  }
}

TEST(MpTable, FirstProcessorBootsAndIdsAreDistinct) {
  const auto bytes = make_mp_table(layout::kMpTable, 3);
  ASSERT_TRUE(bytes);
  const Bytes table(bytes->begin() + 16, bytes->end());
  for (std::size_t id = 0; id < 3; ++id) {
    EXPECT_EQ(table[44 + 20 * id + 1], id);
    EXPECT_EQ(table[44 + 20 * id + 3], id == 0 ? 3 : 1) << "enabled, and the first boots";
  }
  const std::size_t io_apic = 44 + 3 * 20 + 8;
  EXPECT_EQ(table[io_apic], 2);
  EXPECT_EQ(table[io_apic + 1], 3) << "the id after the processors'";
  EXPECT_EQ(get<std::uint32_t>(table, io_apic + 4), layout::kIoApic);
  for (unsigned line = 0; line < 24; ++line) {
    const std::size_t entry = io_apic + 8 + 8UZ * line;
    EXPECT_EQ(table[entry + 5], line);
    EXPECT_EQ(table[entry + 6], 3) << "to that I/O APIC";
    EXPECT_EQ(table[entry + 7], line);
  }
}

TEST(MpTable, RefusesMoreProcessorsThanFit) {
  EXPECT_FALSE(make_mp_table(layout::kMpTable, 0));
  const auto bytes = make_mp_table(layout::kMpTable, 33);
  EXPECT_NE(error_of(bytes).find("33 vCPUs"), std::string::npos) << error_of(bytes);
}

}  // namespace
}  // namespace mote::arch

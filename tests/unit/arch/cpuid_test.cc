// CPUID for a guest, from what a made-up KVM supports on made-up hosts of either maker, and on this
// host's own instruction.

#include "arch/x86_64/cpuid.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "arch/support.h"

namespace mote::arch {
namespace {

using Registers = std::array<std::uint32_t, 4>;
using Key = std::pair<std::uint32_t, std::uint32_t>;
using Leaves = std::map<Key, Registers>;

constexpr std::uint32_t bit(unsigned number) { return 1U << number; }
constexpr std::uint32_t kAll = ~0U;

std::uint32_t word(std::string_view text) {
  std::uint32_t value = 0;
  std::memcpy(&value, text.data(), 4);
  return value;
}

// The name is the host's own only: KVM leaves it empty.
void put_brand(Leaves& leaves, std::string text) {
  text.resize(48);
  const std::string_view view = text;
  for (std::uint32_t part = 0; part < 3; ++part) {
    const std::string_view piece = view.substr(part * 16UZ, 16);
    leaves[{0x80000002 + part, 0}] = {word(piece.substr(0)), word(piece.substr(4)),
                                      word(piece.substr(8)), word(piece.substr(12))};
  }
}

// A host that has every feature bit, so that what is hidden shows.
Leaves common(std::string_view maker) {
  Leaves leaves;
  leaves[{0, 0}] = {0x1f, word(maker.substr(0)), word(maker.substr(8)), word(maker.substr(4))};
  leaves[{1, 0}] = {0x00a10f11, 0x07ff0000, kAll, kAll};
  leaves[{6, 0}] = {kAll, 0, kAll, 0};
  leaves[{7, 0}] = {0, kAll, kAll, kAll};
  leaves[{0xa, 0}] = {0x07300805, 0, 0, 0x603};
  leaves[{0xb, 0}] = {5, 6, 0x107, 99};
  leaves[{0xd, 0}] = {7, 0x340, 0x340, 0};
  leaves[{0xd, 1}] = {0xf, 0x340, 0, 0};
  leaves[{0x14, 0}] = {1, 1, 1, 0};
  leaves[{0x40000000, 0}] = {0x40000001, word("KVMK"), word("VMKV"), word("M\0\0\0")};
  leaves[{0x40000001, 0}] = {0x01007afb, 0, 0, 0};
  leaves[{0x80000000, 0}] = {0x80000022, 0, 0, 0};
  leaves[{0x80000001, 0}] = {0, 0, kAll, kAll};
  leaves[{0x80000008, 0}] = {0x3030, 0, 0x707f, 0};
  return leaves;
}

Leaves amd() {
  Leaves leaves = common("AuthenticAMD");
  put_brand(leaves, "AMD EPYC 9R14 96-Core Processor");
  leaves[{0x80000005, 0}] = {1, 2, 0x20080140, 0x20080141};
  leaves[{0x8000000a, 0}] = {1, 0x8000, 0, kAll};
  leaves[{0x8000001d, 0}] = {0, 0, 0, 0};  // as KVM gives it
  leaves[{0x8000001e, 0}] = {77, 0x0133, 0x0202, 0};
  leaves[{0x8000001f, 0}] = {3, 0, 0, 0};
  leaves[{0x80000022, 0}] = {1, 6, 0, 0};
  return leaves;
}

Leaves intel() {
  Leaves leaves = common("GenuineIntel");
  put_brand(leaves, "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz");
  leaves[{4, 0}] = {0xfc004121, 0x02c0003f, 63, 0};
  leaves[{4, 1}] = {0xfc004122, 0x01c0003f, 63, 0};
  leaves[{4, 2}] = {0xfc01c143, 0x04c0003f, 1023, 0};
  leaves[{4, 3}] = {0xfc0fc163, 0x02c0003f, 36863, 4};
  leaves[{4, 4}] = {0, 0, 0, 0};
  leaves[{0x1f, 0}] = {1, 2, 0x100, 9};
  return leaves;
}

// The host's own instruction: as KVM's list, with AMD's caches.
HostCpuid host_of(Leaves leaves) {
  leaves[{0x8000001d, 0}] = {0x4121, 0x01c0003f, 63, 0};
  leaves[{0x8000001d, 1}] = {0x4122, 0x01c0003f, 63, 0};
  leaves[{0x8000001d, 2}] = {0x4143, 0x01c0003f, 2047, 2};
  leaves[{0x8000001d, 3}] = {0x3c163, 0x03c0003f, 32767, 1};
  leaves[{0x8000001d, 4}] = {0, 0, 0, 0};
  return [leaves](std::uint32_t leaf, std::uint32_t subleaf) {
    CpuidEntry entry{};
    const auto found = leaves.find({leaf, subleaf});
    if (found == leaves.end()) return entry;
    entry.eax = found->second[0];
    entry.ebx = found->second[1];
    entry.ecx = found->second[2];
    entry.edx = found->second[3];
    return entry;
  };
}

// What KVM tells of such a host.
std::vector<CpuidEntry> list_of(const Leaves& leaves) {
  std::vector<CpuidEntry> entries;
  for (const auto& [key, host] : leaves) {
    const bool empty = key.first >= 0x80000002 && key.first <= 0x80000005;
    const Registers registers = empty ? Registers{} : host;
    CpuidEntry entry{};
    entry.function = key.first;
    entry.index = key.second;
    entry.eax = registers[0];
    entry.ebx = registers[1];
    entry.ecx = registers[2];
    entry.edx = registers[3];
    entries.push_back(entry);
  }
  return entries;
}

struct Wish {
  unsigned cpus = 1;
  bool smt = false;
  std::uint32_t tsc_khz = 2'900'000;
  bool deadline = true;
};

class Guest {
 public:
  Guest(const Leaves& supported, const Wish& wish, unsigned index = 0) {
    const auto list = list_of(supported);
    const auto made = make_cpuid({.supported = list,
                                  .cpus = wish.cpus,
                                  .smt = wish.smt,
                                  .tsc_khz = wish.tsc_khz,
                                  .tsc_deadline_timer = wish.deadline,
                                  .host = host_of(supported)});
    EXPECT_TRUE(made) << error_of(made);
    if (!made) return;
    entries_ = vcpu_cpuid(*made, index);
    for (const CpuidEntry& entry : entries_) {
      EXPECT_TRUE(leaves_.emplace(Key{entry.function, entry.index}, entry).second)
          << std::hex << entry.function << " twice";
    }
  }
  bool has(std::uint32_t leaf, std::uint32_t subleaf = 0) const {
    return leaves_.contains({leaf, subleaf});
  }
  // Zeros where there is none, as KVM answers.
  CpuidEntry leaf(std::uint32_t leaf, std::uint32_t subleaf = 0) const {
    const auto found = leaves_.find({leaf, subleaf});
    return found == leaves_.end() ? CpuidEntry{} : found->second;
  }
  std::string brand() const {
    std::string text;
    for (std::uint32_t part = 0; part < 3; ++part) {
      const CpuidEntry entry = leaf(0x80000002 + part);
      for (const std::uint32_t value : {entry.eax, entry.ebx, entry.ecx, entry.edx}) {
        text.append(reinterpret_cast<const char*>(&value), 4);
      }
    }
    return text.substr(0, text.find('\0'));
  }
  const std::vector<CpuidEntry>& entries() const { return entries_; }

 private:
  std::vector<CpuidEntry> entries_;
  std::map<Key, CpuidEntry> leaves_;
};

TEST(Cpuid, MakerAndNameAreOfTheHostsKind) {
  const Guest on_amd(amd(), {});
  EXPECT_EQ(on_amd.leaf(0).ebx, word("Auth"));
  EXPECT_EQ(on_amd.leaf(0).edx, word("enti"));
  EXPECT_EQ(on_amd.leaf(0).ecx, word("cAMD"));
  EXPECT_EQ(on_amd.brand(), "AMD EPYC");
  const Guest on_intel(intel(), {});
  EXPECT_EQ(on_intel.leaf(0).ebx, word("Genu"));
  EXPECT_EQ(on_intel.brand(), "Intel(R) Xeon(R) Processor @ 2.90GHz");
}

TEST(Cpuid, NameOfAnUnknownMakerIsTheHosts) {
  Leaves leaves = common("CentaurHauls");
  put_brand(leaves, "ZHAOXIN KaiSheng");
  EXPECT_EQ(Guest(leaves, {}).brand(), "ZHAOXIN KaiSheng");
}

TEST(Cpuid, HidesNestedVirtualisation) {
  for (const Leaves& leaves : {amd(), intel()}) {
    const Guest guest(leaves, {});
    EXPECT_EQ(guest.leaf(1).ecx & bit(5), 0U) << "VMX";
    EXPECT_EQ(guest.leaf(0x80000001).ecx & bit(2), 0U) << "SVM";
    EXPECT_FALSE(guest.has(0x8000000a));
  }
}

TEST(Cpuid, HidesCountersTracingEnclavesAndEncryption) {
  for (const Leaves& leaves : {amd(), intel()}) {
    const Guest guest(leaves, {});
    EXPECT_EQ(guest.leaf(0xa).eax, 0U);
    EXPECT_EQ(guest.leaf(0xa).edx, 0U);
    EXPECT_EQ(guest.leaf(0x14).eax, 0U);
    EXPECT_EQ(guest.leaf(0x80000022).eax, 0U);
    EXPECT_EQ(guest.leaf(0x8000001f).eax, 0U);
    EXPECT_EQ(guest.leaf(1).ecx & bit(15), 0U) << "PDCM";
    EXPECT_EQ(guest.leaf(6).eax & bit(1), 0U) << "turbo";
    EXPECT_EQ(guest.leaf(7).ecx & bit(5), 0U) << "WAITPKG";
    EXPECT_EQ(guest.leaf(7).ebx & (bit(2) | bit(25)), 0U) << "SGX, Processor Trace";
    EXPECT_EQ(guest.leaf(0x80000001).ecx & (bit(23) | bit(24) | bit(28)), 0U) << "AMD's counters";
  }
}

TEST(Cpuid, ArchCapabilitiesAreIntelsOnly) {
  EXPECT_EQ(Guest(amd(), {}).leaf(7).edx & bit(29), 0U);
  EXPECT_NE(Guest(intel(), {}).leaf(7).edx & bit(29), 0U);
}

TEST(Cpuid, TellsOfTheHypervisor) {
  const Guest guest(amd(), {});
  EXPECT_NE(guest.leaf(1).ecx & bit(31), 0U);
  EXPECT_NE(guest.leaf(1).ecx & bit(24), 0U);
  EXPECT_EQ(Guest(amd(), {.deadline = false}).leaf(1).ecx & bit(24), 0U);
  EXPECT_EQ(guest.leaf(0x40000000).ebx, word("KVMK"));
  EXPECT_EQ(guest.leaf(0x40000001).eax, 0x01007afbU) << "what KVM offers, no more and no less";
}

TEST(Cpuid, TellsTheFrequency) {
  const Guest guest(amd(), {.tsc_khz = 2'595'126});
  EXPECT_EQ(guest.leaf(0x40000000).eax, 0x40000010U);
  EXPECT_EQ(guest.leaf(0x40000010).eax, 2'595'126U);
  EXPECT_EQ(guest.leaf(0x40000010).ebx, 1'000'000U);
  EXPECT_FALSE(guest.has(0x15)) << "not AMD's";

  const CpuidEntry tsc = Guest(intel(), {.tsc_khz = 2'900'001}).leaf(0x15);
  ASSERT_NE(tsc.eax, 0U);
  EXPECT_EQ(std::uint64_t{tsc.ecx} * tsc.ebx / tsc.eax, 2'900'001'000U);
  EXPECT_EQ(Guest(intel(), {}).leaf(0x16).eax, 2900U);

  const Guest unknown(intel(), {.tsc_khz = 0});
  EXPECT_FALSE(unknown.has(0x40000010));
  EXPECT_FALSE(unknown.has(0x15));
  EXPECT_EQ(unknown.leaf(0x40000000).eax, 0x40000001U);
}

// Any number of processors, with and without two threads a core: the numbers agree everywhere.
TEST(Cpuid, TopologyAgreesInAllLeaves) {
  for (unsigned cpus = 1; cpus <= 32; ++cpus) {
    for (const bool smt : {false, true}) {
      if (smt && cpus > 1 && cpus % 2 != 0) continue;
      for (const Leaves& leaves : {amd(), intel()}) {
        for (const unsigned index : {0U, cpus / 2, cpus - 1}) {
          const Guest guest(leaves, {.cpus = cpus, .smt = smt}, index);
          const unsigned threads = smt && cpus > 1 ? 2 : 1;
          EXPECT_EQ(guest.leaf(1).ebx >> 24, index);
          EXPECT_GE(guest.leaf(1).ebx >> 16 & 0xff, cpus);
          EXPECT_EQ(guest.leaf(1).ebx >> 8 & 0xff, 8U) << "CLFLUSH: 64 bytes";
          EXPECT_EQ((guest.leaf(1).edx & bit(28)) != 0, cpus > 1) << "HTT";
          for (const std::uint32_t leaf : {0xbU, 0x1fU}) {
            const CpuidEntry thread = guest.leaf(leaf, 0);
            const CpuidEntry core = guest.leaf(leaf, 1);
            EXPECT_EQ(thread.ecx, 0x100U);
            EXPECT_EQ(core.ecx, 0x201U);
            EXPECT_EQ(guest.leaf(leaf, 2).ecx, 2U) << "no third level";
            EXPECT_EQ(thread.ebx, threads);
            EXPECT_EQ(core.ebx, cpus);
            EXPECT_EQ(1U << thread.eax, threads);
            EXPECT_GE(1U << core.eax, cpus) << "ids of one package share what is above";
            EXPECT_LT(1U << core.eax, 2 * cpus + (cpus == 1 ? 1 : 0));
            EXPECT_EQ(thread.edx, index);
            EXPECT_EQ(core.edx, index);
          }
        }
      }
    }
  }
}

TEST(Cpuid, AmdsTopologyLeaves) {
  const Guest guest(amd(), {.cpus = 6, .smt = true}, 5);
  EXPECT_EQ(guest.leaf(0x80000008).eax, 0x3030U) << "address bits are the host's";
  EXPECT_EQ(guest.leaf(0x80000008).ecx & 0xff, 5U);
  EXPECT_EQ(guest.leaf(0x80000008).ecx >> 12 & 0xf, 3U);
  EXPECT_EQ(guest.leaf(0x8000001e).eax, 5U);
  EXPECT_EQ(guest.leaf(0x8000001e).ebx, 0x0102U) << "two threads, the third core";
  EXPECT_EQ(guest.leaf(0x8000001e).ecx, 0U) << "one node";
  EXPECT_EQ(Guest(intel(), {.cpus = 6}).leaf(0x80000008).ecx, 0x707fU) << "Intel's is kept";
  EXPECT_FALSE(Guest(intel(), {}).has(0x8000001e));
}

std::uint32_t sharing(const CpuidEntry& cache) { return (cache.eax >> 14 & 0xfff) + 1; }

TEST(Cpuid, AmdsCachesAreTheHostsSharedByTheGuest) {
  const Guest guest(amd(), {.cpus = 6, .smt = true});
  EXPECT_EQ(guest.leaf(0x8000001d, 0).eax & 0x3fff, 0x4121U & 0x3fff);
  EXPECT_EQ(guest.leaf(0x8000001d, 2).ecx, 2047U) << "size";
  EXPECT_EQ(guest.leaf(0x80000005).ecx, 0x20080140U);
  EXPECT_EQ(guest.leaf(0x80000005).edx, 0x20080141U);
  EXPECT_EQ(sharing(guest.leaf(0x8000001d, 0)), 2U);
  EXPECT_EQ(sharing(guest.leaf(0x8000001d, 2)), 2U);
  EXPECT_EQ(sharing(guest.leaf(0x8000001d, 3)), 8U) << "ids, of which 6 are there";
  EXPECT_TRUE(guest.has(0x8000001d, 4));
  EXPECT_EQ(guest.leaf(0x8000001d, 4).eax & 0x1f, 0U) << "the end";
  for (const CpuidEntry& entry : guest.entries()) {
    if (entry.function != 0x8000001d) continue;
    EXPECT_EQ(entry.flags, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
  }
}

TEST(Cpuid, WithoutTopologyExtensionsAmdHasNoSuchLeaves) {
  Leaves leaves = amd();
  leaves[{0x80000001, 0}][2] &= ~bit(22);
  const Guest guest(leaves, {.cpus = 2});
  EXPECT_FALSE(guest.has(0x8000001e));
  EXPECT_EQ(guest.leaf(0x8000001d).eax, 0U);
}

TEST(Cpuid, IntelsCachesAreSharedByTheGuest) {
  const Guest guest(intel(), {.cpus = 4, .smt = true});
  EXPECT_EQ(sharing(guest.leaf(4, 0)), 2U);
  EXPECT_EQ(sharing(guest.leaf(4, 2)), 2U);
  EXPECT_EQ(sharing(guest.leaf(4, 3)), 4U);
  EXPECT_EQ(guest.leaf(4, 0).eax >> 26, 1U) << "two cores";
  EXPECT_EQ(guest.leaf(4, 3).ecx, 36863U);
  EXPECT_EQ(guest.leaf(4, 4).eax, 0U);
  const Guest one(intel(), {});
  EXPECT_EQ(sharing(one.leaf(4, 3)), 1U);
  EXPECT_EQ(one.leaf(4, 3).eax >> 26, 0U);
}

// Bits that the guest sees and KVM does not support are those that we mean to add.
TEST(Cpuid, AddsNoFeatureThatKvmLacks) {
  for (Leaves leaves : {amd(), intel()}) {
    for (auto& [key, registers] : leaves) {
      if (key.first == 1 || key.first == 6 || key.first == 7 || key.first == 0x80000001) {
        registers = {};
      }
    }
    const Guest guest(leaves, {.cpus = 2});
    EXPECT_EQ(guest.leaf(1).ecx, bit(31) | bit(24));
    EXPECT_EQ(guest.leaf(1).edx, bit(28));
    EXPECT_EQ(guest.leaf(6).eax | guest.leaf(6).ecx, 0U);
    EXPECT_EQ(guest.leaf(7).ebx | guest.leaf(7).ecx | guest.leaf(7).edx, 0U);
    EXPECT_EQ(guest.leaf(0x80000001).ecx | guest.leaf(0x80000001).edx, 0U);
  }
}

TEST(Cpuid, LeavesBeyondTheProcessorsLastAreNotAdded) {
  Leaves leaves = intel();
  leaves[{0, 0}][0] = 0x4;
  const Guest guest(leaves, {.cpus = 2});
  for (const std::uint32_t leaf : {0xbU, 0x15U, 0x16U, 0x1fU}) EXPECT_FALSE(guest.has(leaf));
}

TEST(Cpuid, RefusesWhatCannotBe) {
  const auto list = list_of(amd());
  const auto message = [&](unsigned cpus, bool smt) {
    return error_of(make_cpuid({.supported = list, .cpus = cpus, .smt = smt}));
  };
  EXPECT_NE(message(0, false).find("0 vCPUs"), std::string::npos);
  EXPECT_NE(message(33, false).find("33 vCPUs"), std::string::npos);
  EXPECT_NE(message(3, true).find("1 or even"), std::string::npos);
  EXPECT_EQ(message(1, true), "(no error)");
  EXPECT_FALSE(make_cpuid({.supported = {}}));
}

TEST(Cpuid, RefusesMoreLeavesThanKvmTakes) {
  Leaves leaves = intel();
  for (std::uint32_t subleaf = 0; subleaf < 256; ++subleaf) leaves[{0xd, subleaf}] = {1, 0, 0, 0};
  const auto made = make_cpuid({.supported = list_of(leaves), .host = host_of(leaves)});
  EXPECT_NE(error_of(made).find("256"), std::string::npos) << error_of(made);
}

TEST(HostCpuid, IsThisProcessors) {
  EXPECT_GE(host_cpuid(0, 0).eax, 1U);
  EXPECT_GE(host_physical_bits(), 32U);
  EXPECT_LE(host_physical_bits(), 52U);
}

}  // namespace
}  // namespace mote::arch

#include "arch/x86_64/static_template.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>

#include "arch/x86_64/cpuid_table.h"

namespace mote::arch {
namespace {

constexpr std::uint32_t bits(std::initializer_list<unsigned> numbers) {
  std::uint32_t mask = 0;
  for (const unsigned number : numbers) mask |= 1U << number;
  return mask;
}

// Bits that a template changes in one register of CPUID; the others stay the host's.
struct Row {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  BitFilter<std::uint32_t> CpuidModifier::* reg;
  std::uint32_t clear;
  std::uint32_t set = 0;
};

// Leaf 1 tells model and stepping; the type of processor among them is left alone.
constexpr std::uint32_t kSignatureBits = 0x0fff'3fff;
constexpr std::uint32_t kHaswell = 0x306f2;
constexpr std::uint32_t kIvyBridge = 0x306e4;

constexpr Row signature(std::uint32_t model) {
  return {0x1, 0, &CpuidModifier::eax, kSignatureBits & ~model, model};
}

// What all templates hide.
constexpr std::array kCommon = {
    // XSAVE areas of MPX, AVX-512 and protection keys; XSAVEC, XGETBV with ECX 1, XSAVES.
    Row{0xd, 0, &CpuidModifier::eax, bits({3, 4, 5, 6, 7, 9})},
    Row{0xd, 1, &CpuidModifier::eax, bits({1, 2, 3})},
    // Pages of 1 GiB.
    Row{0x80000001, 0, &CpuidModifier::edx, bits({26})},
};

constexpr std::array kC3 = {
    signature(kIvyBridge),
    // DTES64, MONITOR, DS-CPL, VMX, TM2, CNXT-ID, SDBG, FMA, xTPR, PDCM, MOVBE.
    Row{0x1, 0, &CpuidModifier::ecx, bits({2, 3, 4, 5, 8, 10, 11, 12, 14, 15, 22})},
    // Serial number, debug store, thermal control, self-snoop, thermal monitor, pending break.
    Row{0x1, 0, &CpuidModifier::edx, bits({18, 21, 22, 27, 29, 31}), bits({7, 12})},
    // SGX, BMI1, HLE, AVX2, BMI2, INVPCID, RTM, cache monitoring, MPX, cache allocation, RDSEED,
    // ADX, AVX-512 of all kinds, CLFLUSHOPT, CLWB, Processor Trace, SHA.
    Row{0x7, 0, &CpuidModifier::ebx, bits({2,  3,  4,  5,  8,  10, 11, 12, 14, 15, 16, 17,
                                           18, 19, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31})},
    // AVX-512 VBMI, UMIP, PKU, OSPKE, AVX-512 VNNI and VPOPCNTDQ, LA57, RDPID, SGX_LC.
    Row{0x7, 0, &CpuidModifier::ecx, bits({1, 2, 3, 4, 11, 14, 16, 22, 30})},
    Row{0x7, 0, &CpuidModifier::edx, bits({2, 3})},         // AVX-512 4VNNIW, 4FMAPS
    Row{0x80000001, 0, &CpuidModifier::ecx, bits({5, 8})},  // LZCNT, PREFETCHW
};

// A Haswell, which T2 and its kin show.
constexpr std::array kT2 = {
    signature(kHaswell),
    // DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA.
    Row{0x1, 0, &CpuidModifier::ecx, bits({2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15, 18})},
    // As C3, and IA64.
    Row{0x1, 0, &CpuidModifier::edx, bits({18, 21, 22, 27, 29, 30, 31}), bits({7, 12})},
    // SGX, HLE, RTM, cache monitoring, MPX, cache allocation, RDSEED, ADX, AVX-512 of all kinds,
    // PCOMMIT, CLFLUSHOPT, CLWB, Processor Trace, SHA; there is a fast REP MOVSB.
    Row{0x7, 0, &CpuidModifier::ebx,
        bits({2, 4, 11, 12, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31}),
        bits({9})},
    // As C3, and AVX-512 VBMI2 and BITALG, GFNI, VAES, VPCLMULQDQ.
    Row{0x7, 0, &CpuidModifier::ecx, bits({1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 14, 16, 22, 30})},
    // AVX-512 4VNNIW, 4FMAPS and VP2INTERSECT, fast short REP MOVSB.
    Row{0x7, 0, &CpuidModifier::edx, bits({2, 3, 4, 8})},
    Row{0x80000001, 0, &CpuidModifier::ecx, bits({8, 29})},  // PREFETCHW, MONITORX
    Row{0x80000008, 0, &CpuidModifier::ebx, bits({9})},      // WBNOINVD
};

// What T2CL and T2A change besides, so that processors of Intel and AMD look alike.
constexpr std::array kT2ClMore = {
    Row{0x80000001, 0, &CpuidModifier::ecx, bits({6, 7})},            // SSE4A, misaligned SSE
    Row{0x80000001, 0, &CpuidModifier::edx, bits({22, 23, 24, 25})},  // AMD's MMX and FXSR
};
constexpr std::array kT2AMore = {
    Row{0x80000001, 0, &CpuidModifier::ecx, bits({2, 6, 7})},  // SVM, SSE4A, misaligned SSE
    Row{0x80000001, 0, &CpuidModifier::edx, bits({22, 25})},   // AMD's MMX extensions, fast FXSR
    // No CLZERO; error pointers are always restored, IBRS is preferred and protects its own mode,
    // no LMSLE.
    Row{0x80000008, 0, &CpuidModifier::ebx, bits({0}), bits({2, 18, 19, 20})},
};

// IA32_ARCH_CAPABILITIES: which of the processors' flaws a guest need not care for. T2S is the same
// on all its processors, T2CL hides what is not on each.
constexpr std::uint32_t kArchCapabilities = 0x10a;
constexpr MsrModifier kT2SFlaws{.index = kArchCapabilities,
                                .bits = {.mask = ~std::uint64_t{0}, .value = 0x0c0a'0c4c}};
constexpr MsrModifier kT2ClFlaws{.index = kArchCapabilities,
                                 .bits = {.mask = 0xffff'ffff'e2f5'1e00, .value = 0}};

// Of a kind of processor: the signature of CPUID leaf 1, without its type.
struct Model {
  std::uint32_t signature;
  std::string_view name;
};
constexpr Model kSkylake{0x50654, "Skylake"};
constexpr Model kCascadeLake{0x50657, "Cascade Lake"};
constexpr Model kIceLake{0x606a6, "Ice Lake"};
constexpr Model kMilan{0xa00f11, "Milan"};
constexpr std::array kUpToIceLake = {kSkylake, kCascadeLake, kIceLake};
constexpr std::array kSkylakes = {kSkylake, kCascadeLake};
constexpr std::array kLakes = {kCascadeLake, kIceLake};
constexpr std::array kMilans = {kMilan};

struct Template {
  std::string_view name;
  CpuVendor vendor;
  std::span<const Model> models;
  std::span<const Row> rows;
  std::span<const Row> more = {};
  std::span<const MsrModifier> msrs = {};
};

// In the order of StaticTemplate.
constexpr std::array kTemplates = {
    Template{"C3", CpuVendor::kIntel, kUpToIceLake, kC3},
    Template{"T2", CpuVendor::kIntel, kUpToIceLake, kT2},
    Template{"T2S", CpuVendor::kIntel, kSkylakes, kT2, {}, {&kT2SFlaws, 1}},
    Template{"T2CL", CpuVendor::kIntel, kLakes, kT2, kT2ClMore, {&kT2ClFlaws, 1}},
    Template{"T2A", CpuVendor::kAmd, kMilans, kT2, kT2AMore},
};

const Template& template_of(StaticTemplate wanted) {
  return kTemplates[static_cast<std::size_t>(wanted)];
}

void add(std::vector<CpuidModifier>& modifiers, const Row& row) {
  auto found = std::ranges::find_if(modifiers, [&row](const CpuidModifier& modifier) {
    return modifier.leaf == row.leaf && modifier.subleaf == row.subleaf;
  });
  if (found == modifiers.end()) {
    const bool indexed = row.leaf == 0x7 || row.leaf == 0xd;
    found = modifiers.insert(
        found, {.leaf = row.leaf,
                .subleaf = row.subleaf,
                .flags = indexed ? std::uint32_t{KVM_CPUID_FLAG_SIGNIFCANT_INDEX} : 0});
  }
  BitFilter<std::uint32_t>& filter = (*found).*row.reg;
  filter.mask |= row.clear | row.set;
  filter.value |= row.set;
}

std::string listed(std::span<const Model> models) {
  std::string text;
  for (const Model& model : models) {
    text += fmt::format("{}{} ({:#x})", text.empty() ? "" : ", ", model.name, model.signature);
  }
  return text;
}

std::string_view name_of(CpuVendor vendor) {
  switch (vendor) {
    case CpuVendor::kIntel:
      return "Intel";
    case CpuVendor::kAmd:
      return "AMD";
    case CpuVendor::kOther:
      break;
  }
  return "another maker";
}

}  // namespace

CpuModifiers modifiers_of(StaticTemplate wanted) {
  const Template& found = template_of(wanted);
  CpuModifiers modifiers;
  for (const std::span<const Row> rows : {std::span<const Row>(kCommon), found.rows, found.more}) {
    for (const Row& row : rows) add(modifiers.cpuid, row);
  }
  modifiers.msrs.assign(found.msrs.begin(), found.msrs.end());
  return modifiers;
}

Result<void> check_processor(StaticTemplate wanted, std::span<const CpuidEntry> supported) {
  const Template& found = template_of(wanted);
  const CpuidTable table(supported);
  const CpuidEntry* features = table.find(1);
  const std::uint32_t own = features == nullptr ? 0 : features->eax & kSignatureBits;
  const CpuVendor vendor = table.vendor();
  if (vendor == found.vendor &&
      std::ranges::find(found.models, own, &Model::signature) != found.models.end()) {
    return {};
  }
  return fail(
      ErrorKind::kUnsupported,
      "cpu_template {} is for {}'s processors {}; this host's is of {}, with signature {:#x}",
      found.name, name_of(found.vendor), listed(found.models), name_of(vendor), own);
}

}  // namespace mote::arch

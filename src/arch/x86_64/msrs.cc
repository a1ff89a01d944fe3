#include "arch/x86_64/msrs.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace mote::arch {
namespace {

// Numbers from AMD's and Intel's manuals; the kernel exports no header of them.
constexpr std::uint32_t kTsc = 0x10;
constexpr std::uint32_t kSysenterCs = 0x174;
constexpr std::uint32_t kSysenterEsp = 0x175;
constexpr std::uint32_t kSysenterEip = 0x176;
constexpr std::uint32_t kMiscEnable = 0x1a0;
constexpr std::uint32_t kMtrrDefaultType = 0x2ff;
constexpr std::uint32_t kStar = 0xc0000081;
constexpr std::uint32_t kLstar = 0xc0000082;
constexpr std::uint32_t kCstar = 0xc0000083;
constexpr std::uint32_t kSyscallMask = 0xc0000084;
constexpr std::uint32_t kKernelGsBase = 0xc0000102;

constexpr std::uint64_t kFastStrings = 1;
constexpr std::uint64_t kMtrrEnable = 1 << 11;
constexpr std::uint64_t kMtrrWriteBack = 6;

constexpr std::array<std::pair<std::uint32_t, std::uint64_t>, 11> kBootMsrs = {{
    {kSysenterCs, 0},
    {kSysenterEsp, 0},
    {kSysenterEip, 0},
    {kStar, 0},
    {kCstar, 0},
    {kKernelGsBase, 0},
    {kSyscallMask, 0},
    {kLstar, 0},
    // KVM takes a TSC of 0 as the wish that all vCPUs' run together.
    {kTsc, 0},
    {kMiscEnable, kFastStrings},
    {kMtrrDefaultType, kMtrrEnable | kMtrrWriteBack},
}};

struct MsrRange {
  std::uint32_t first;
  std::uint32_t last;
};

// MSRs of features that the guest does not have, or that belong to the host.
constexpr std::array<MsrRange, 21> kNotSaved = {{
    {0x34, 0x34},              // count of SMIs
    {0x3a, 0x3a},              // feature control: VMX, SGX
    {0x8b, 0x8f},              // microcode revision; SGX
    {0x9e, 0x9e},              // base of SMM
    {0xc1, 0xc8},              // performance counters
    {0x186, 0x18d},            // ... what they count
    {0x309, 0x318},            // ... fixed ones
    {0x345, 0x345},            // ... capabilities
    {0x38d, 0x391},            // ... control
    {0x3f1, 0x3f2},            // precise event sampling
    {0x480, 0x493},            // VMX
    {0x4c1, 0x4c8},            // performance counters at full width
    {0x560, 0x587},            // Processor Trace
    {0x600, 0x600},            // debug store
    {0x40000000, 0x4000ffff},  // Hyper-V
    {0xc0000104, 0xc0000104},  // SVM: ratio of the TSC
    {0xc0000300, 0xc0000303},  // AMD's performance counters, version 2
    {0xc0010000, 0xc0010007},  // ... the first ones
    {0xc0010114, 0xc0010117},  // SVM
    {0xc0010200, 0xc001020b},  // AMD's performance counters of the core
    {0xc0010230, 0xc001024f},  // ... of caches and northbridge
}};

// MTRRs: KVM keeps them without listing them.
constexpr std::array<MsrRange, 5> kSavedUnlisted = {{
    {0x200, 0x20f},
    {0x250, 0x250},
    {0x258, 0x259},
    {0x268, 0x26f},
    {kMtrrDefaultType, kMtrrDefaultType},
}};

bool is_saved(std::uint32_t index) {
  return std::ranges::none_of(kNotSaved, [index](const MsrRange& range) {
    return range.first <= index && index <= range.last;
  });
}

}  // namespace

std::vector<kvm_msr_entry> boot_msrs() {
  std::vector<kvm_msr_entry> entries;
  entries.reserve(kBootMsrs.size());
  for (const auto& [index, value] : kBootMsrs) {
    entries.push_back({.index = index, .reserved = 0, .data = value});
  }
  return entries;
}

std::vector<std::uint32_t> msrs_to_save(std::span<const std::uint32_t> indices,
                                        std::span<const std::uint32_t> more) {
  std::vector<std::uint32_t> saved;
  std::ranges::copy_if(indices, std::back_inserter(saved), is_saved);
  const auto add = [&saved](std::uint32_t index) {
    if (std::ranges::find(saved, index) == saved.end()) saved.push_back(index);
  };
  for (const MsrRange& range : kSavedUnlisted) {
    for (std::uint32_t index = range.first; index <= range.last; ++index) add(index);
  }
  std::ranges::for_each(more, add);
  return saved;
}

}  // namespace mote::arch

#include "arch/x86_64/memory_map.h"

#include <algorithm>
#include <array>

#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

// Where RAM may lie, in the order in which it is given out.
constexpr std::array<memory::Range, 3> kRamWindows = {{
    {.start = 0, .size = layout::kMmio32Start},
    {.start = layout::kMmio32End, .size = layout::kMmio64Start - layout::kMmio32End},
    {.start = layout::kMmio64End, .size = (1ULL << 52) - layout::kMmio64End},
}};

constexpr std::uint64_t kMinMemory = layout::kMiB;
constexpr unsigned kMinPhysicalBits = 32;
constexpr unsigned kMaxPhysicalBits = 52;

constexpr std::array<BootStructure, 8> kBootStructures = {{
    {{.start = 0, .size = 0x1000}, "the descriptor table"},
    {{.start = layout::kStartInfo, .size = 0x1000}, "the PVH start info"},
    {{.start = layout::kZeroPage, .size = 0x1000}, "the zero page"},
    {{.start = 0x8000, .size = 0x1000}, "the boot stack"},
    {{.start = layout::kPml4,
      .size = layout::kPageDirectory + layout::kMaxPageDirectories * 0x1000ULL - layout::kPml4},
     "the boot page tables"},
    {{.start = layout::kCmdline, .size = 0x1000}, "the command line"},
    {{.start = layout::kEbda, .size = layout::kRsdp - layout::kEbda}, "the MP table"},
    {{.start = layout::kRsdp, .size = layout::kAcpiEnd - layout::kRsdp}, "the ACPI tables"},
}};

// The first address that the processor cannot reach.
std::uint64_t address_limit(unsigned physical_bits) {
  return 1ULL << std::clamp(physical_bits, kMinPhysicalBits, kMaxPhysicalBits);
}

void append(std::vector<MemoryMapEntry>& map, std::uint64_t start, std::uint64_t end,
            MemoryType type) {
  if (start < end) map.push_back({.range = {.start = start, .size = end - start}, .type = type});
}

}  // namespace

Result<std::vector<memory::Range>> memory_ranges(std::uint64_t size, unsigned physical_bits) {
  if (size < kMinMemory || size % memory::kPageSize != 0) {
    return fail(ErrorKind::kInvalid,
                "{} bytes of guest memory: it must be at least 1 MiB and a multiple of {} bytes",
                size, memory::kPageSize);
  }
  const std::uint64_t limit = address_limit(physical_bits);
  std::vector<memory::Range> ranges;
  std::uint64_t left = size;
  for (const memory::Range& window : kRamWindows) {
    if (left == 0 || window.start >= limit) break;
    const std::uint64_t taken = std::min({left, window.size, limit - window.start});
    ranges.push_back({.start = window.start, .size = taken});
    left -= taken;
  }
  if (left > 0) {
    return fail(ErrorKind::kInvalid,
                "{} MiB of guest memory are more than the {} address bits of this host's processor "
                "reach: {} MiB at most",
                size >> 20, physical_bits, (size - left) >> 20);
  }
  return ranges;
}

std::vector<memory::Range> device_memory_windows(std::span<const memory::Range> ranges,
                                                 unsigned physical_bits) {
  constexpr std::uint64_t kAlignment = 2 * layout::kGiB;
  const std::uint64_t limit = address_limit(physical_bits);
  std::vector<memory::Range> windows;
  const auto add = [&](std::uint64_t start, std::uint64_t end) {
    // Behind what RAM has of it.
    for (const memory::Range& range : ranges) {
      if (range.start < end) start = std::max(start, range.end());
    }
    start = (start + kAlignment - 1) / kAlignment * kAlignment;
    end = std::min(end, limit);
    if (start < end) windows.push_back({.start = start, .size = end - start});
  };
  add(layout::kMmio64End, kRamWindows.back().end());
  add(layout::kMmio32End, layout::kMmio64Start);
  return windows;
}

std::vector<MemoryMapEntry> memory_map(std::span<const memory::Range> ranges) {
  std::vector<MemoryMapEntry> map;
  for (const memory::Range& range : ranges) {
    if (range.start >= layout::kHighMemory) {
      append(map, range.start, range.end(), MemoryType::kRam);
      continue;
    }
    append(map, range.start, std::min(range.end(), layout::kEbda), MemoryType::kRam);
    append(map, layout::kEbda, std::min(range.end(), layout::kHighMemory), MemoryType::kReserved);
    append(map, layout::kHighMemory, range.end(), MemoryType::kRam);
  }
  return map;
}

std::span<const BootStructure> boot_structures() { return kBootStructures; }

}  // namespace mote::arch

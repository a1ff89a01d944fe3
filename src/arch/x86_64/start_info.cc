#include "arch/x86_64/start_info.h"

#include <array>
#include <cstddef>
#include <cstring>

#include "arch/x86_64/layout.h"

namespace mote::arch {
namespace {

constexpr std::uint32_t kMagic = 0x336ec578;  // "xEn3" with the top bit of the E set
constexpr std::uint32_t kVersion = 1;         // the first that has a memory map

struct StartInfo {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint32_t flags;
  std::uint32_t modules;
  std::uint64_t module_list;
  std::uint64_t cmdline;
  std::uint64_t rsdp;
  std::uint64_t memory_map;
  std::uint32_t memory_map_entries;
  std::uint32_t reserved;
};
static_assert(sizeof(StartInfo) == 56);

struct Module {
  std::uint64_t start;
  std::uint64_t size;
  std::uint64_t cmdline;
  std::uint64_t reserved;
};
static_assert(sizeof(Module) == 32);

struct MapEntry {
  std::uint64_t start;
  std::uint64_t size;
  std::uint32_t type;
  std::uint32_t reserved;
};
static_assert(sizeof(MapEntry) == 24);

// One page, so that the guest is entered with as few pages touched as can be.
struct Page {
  StartInfo info;
  Module initrd;
  std::array<MapEntry, 32> map;
};
static_assert(sizeof(Page) <= memory::kPageSize);

}  // namespace

Result<void> write_start_info(const memory::GuestMemory& memory, const BootFacts& facts) {
  Page page{};
  if (facts.map.size() > page.map.size()) {
    return fail(ErrorKind::kInternal, "a memory map of {} entries; {} fit into the PVH start info",
                facts.map.size(), page.map.size());
  }
  page.info = {.magic = kMagic,
               .version = kVersion,
               .flags = 0,
               .modules = 0,
               .module_list = 0,
               .cmdline = layout::kCmdline,
               .rsdp = facts.rsdp,
               .memory_map = layout::kStartInfo + offsetof(Page, map),
               .memory_map_entries = static_cast<std::uint32_t>(facts.map.size()),
               .reserved = 0};
  if (facts.initrd.size > 0) {
    page.info.modules = 1;
    page.info.module_list = layout::kStartInfo + offsetof(Page, initrd);
    page.initrd.start = facts.initrd.start;
    page.initrd.size = facts.initrd.size;
  }
  for (std::size_t index = 0; index < facts.map.size(); ++index) {
    const MemoryMapEntry& entry = facts.map[index];
    page.map[index] = {.start = entry.range.start,
                       .size = entry.range.size,
                       .type = static_cast<std::uint32_t>(entry.type),
                       .reserved = 0};
  }
  return memory.write(layout::kStartInfo, page);
}

}  // namespace mote::arch

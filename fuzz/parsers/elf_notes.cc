// The notes of an ELF kernel. The first byte chooses their alignment.
#include "arch/x86_64/elf_notes.h"

#include "fuzz/target.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  const auto entry =
      arch::find_pvh_entry(std::as_bytes(bytes.subspan(1)), bytes[0] % 2 == 0 ? 4 : 8);
  if (entry && *entry) require(**entry <= UINT32_MAX, "a PVH entry is a 32-bit address");
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {
      "\0\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\0\0\x10\0"s,
      "\x01\x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0\0\0\x10\0\0\0\0\0"s,
      "\0\x04\0\0\0\x05\0\0\0\x06\0\0\0Xen\0linux\0\0\0\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\0\0\x10\0"s};
}

}  // namespace mote::fuzz

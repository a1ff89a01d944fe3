#include "arch/x86_64/bzimage.h"

#include <algorithm>
#include <cstring>

#include "arch/x86_64/layout.h"
#include "arch/x86_64/placement.h"

namespace mote::arch {
namespace {

constexpr std::uint16_t kBootFlag = 0xaa55;
constexpr std::uint32_t kHeaderMagic = 0x53726448;  // "HdrS"
// 2.12 brought xloadflags, which tell of a 64-bit entry.
constexpr std::uint16_t kMinVersion = 0x020c;
constexpr std::uint64_t kSectorSize = 512;
constexpr std::uint64_t kDefaultSetupSectors = 4;
constexpr std::uint64_t kParagraph = 16;
constexpr std::uint64_t kEntry64Offset = 0x200;
// The header's length is told by the byte before its magic, counted from there.
constexpr std::size_t kLengthByte = 0x201;
constexpr std::size_t kLengthBase = 0x202;

Result<void> check_header(const setup_header& header) {
  if (header.version < kMinVersion) {
    return fail(ErrorKind::kInvalid,
                "it is a bzImage of boot protocol {}.{}; the 64-bit entry needs 2.12 or newer",
                header.version >> 8, header.version & 0xff);
  }
  if ((header.xloadflags & XLF_KERNEL_64) == 0) {
    return fail(ErrorKind::kInvalid,
                "it is a bzImage without a 64-bit entry (XLF_KERNEL_64): a 32-bit kernel?");
  }
  if ((header.loadflags & LOADED_HIGH) == 0) {
    return fail(ErrorKind::kInvalid, "it is a bzImage that wants to be loaded below 1 MiB");
  }
  return {};
}

// Where the kernel itself wants to lie: boot.rst, "runtime_start".
Result<std::uint64_t> load_address(const setup_header& header) {
  // Copies: the header is packed, so its members cannot be referred to.
  const std::uint64_t preferred = header.pref_address;
  const std::uint64_t alignment = header.kernel_alignment;
  if (header.relocatable_kernel == 0) return preferred;
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || preferred > UINT64_MAX - alignment) {
    return fail(ErrorKind::kInvalid,
                "it is a bzImage with an impossible place: alignment {:#x}, address {:#x}",
                alignment, preferred);
  }
  return (preferred + alignment - 1) & ~(alignment - 1);
}

}  // namespace

std::optional<setup_header> find_bzimage_header(std::span<const std::byte> head) {
  if (head.size() < kLengthBase + sizeof(kHeaderMagic)) return std::nullopt;
  const std::size_t told = kLengthBase + std::to_integer<std::size_t>(head[kLengthByte]);
  const std::size_t end = std::min({told, head.size(), kBzImageHeadSize});
  setup_header header{};
  if (end > kSetupHeaderOffset) {
    std::memcpy(&header, head.data() + kSetupHeaderOffset, end - kSetupHeaderOffset);
  }
  if (header.boot_flag != kBootFlag || header.header != kHeaderMagic) return std::nullopt;
  return header;
}

Result<LoadedKernel> load_bzimage(const memory::GuestMemory& memory, const KernelFile& file,
                                  const setup_header& header, BootProtocolChoice choice) {
  if (choice == BootProtocolChoice::kPvh) {
    return fail(
        ErrorKind::kInvalid,
        "it is a bzImage, which has no PVH entry; give the vmlinux, or the protocol linux64");
  }
  MOTE_CHECK(check_header(header));
  const std::uint64_t setup_sectors =
      header.setup_sects == 0 ? kDefaultSetupSectors : header.setup_sects;
  const std::uint64_t offset = (setup_sectors + 1) * kSectorSize;
  const std::uint64_t told = header.syssize * kParagraph;
  if (told == 0 || !file.holds(offset, told)) {
    return fail(ErrorKind::kInvalid,
                "the file is truncated: its kernel should take {} bytes at offset {}, and the file "
                "has {}",
                told, offset, file.size);
  }
  MOTE_TRY(const std::uint64_t address, load_address(header));
  // The kernel may use init_size bytes from there before it reads the memory map.
  const std::uint64_t size = file.size - offset;
  LoadedKernel kernel{
      .protocol = BootProtocol::kLinux64, .entry = address + kEntry64Offset, .header = header};
  MOTE_CHECK(claim_for_kernel(
      memory, {.start = address, .size = std::max<std::uint64_t>(header.init_size, size)},
      kernel.ranges));
  if (size <= kEntry64Offset) {
    return fail(ErrorKind::kInvalid, "its kernel of {} bytes ends before its 64-bit entry", size);
  }
  prepare_to_fill(memory, kernel.ranges);
  MOTE_CHECK(memory.load_file(address, size, file.fd, offset));
  return kernel;
}

}  // namespace mote::arch

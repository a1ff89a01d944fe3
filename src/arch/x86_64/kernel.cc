#include "arch/x86_64/kernel.h"

#include <elf.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "arch/x86_64/bzimage.h"
#include "arch/x86_64/elf_kernel.h"
#include "base/unique_fd.h"

namespace mote::arch {
namespace {

Result<std::uint64_t> size_of_kernel(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return fail_errno(errno, "look at the kernel's file");
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::kInvalid, "a kernel must be a regular file");
  }
  if (status.st_size == 0) return fail(ErrorKind::kInvalid, "the file is empty");
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

Result<BootProtocolChoice> parse_boot_protocol(std::string_view name) {
  if (name == "auto") return BootProtocolChoice::kAuto;
  if (name == "pvh") return BootProtocolChoice::kPvh;
  if (name == "linux64") return BootProtocolChoice::kLinux64;
  return fail(ErrorKind::kInvalid, "boot protocol '{}': there are auto, pvh and linux64", name);
}

Result<LoadedKernel> load_kernel(const memory::GuestMemory& memory, int fd,
                                 BootProtocolChoice choice) {
  MOTE_TRY(const std::uint64_t file_size, size_of_kernel(fd));
  std::array<std::byte, kBzImageHeadSize> head{};
  MOTE_TRY(const std::size_t length, read_at(fd, head, 0));
  if (length >= SELFMAG && std::memcmp(head.data(), ELFMAG, SELFMAG) == 0) {
    return load_elf_kernel(memory, {.fd = fd, .size = file_size}, choice);
  }
  if (const auto header = find_bzimage_header(std::span(head).first(length))) {
    return load_bzimage(memory, {.fd = fd, .size = file_size}, *header, choice);
  }
  return fail(ErrorKind::kInvalid,
              "it is neither an ELF kernel (vmlinux) nor a bzImage, as its first {} bytes show",
              length);
}

}  // namespace mote::arch

#include "isolation/jail/exec_file.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "isolation/jail/directory.h"

namespace mote::isolation::jail {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#endif

template <typename... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, format, std::forward<Args>(args)...);
}

// Whether it has a PT_INTERP; an error where it is no program that this kernel would start.
Result<bool> read_header(const UniqueFd& fd, const std::string& path) {
  Elf64_Ehdr header{};
  MOTE_TRY(const auto got, read_at(fd.get(), std::as_writable_bytes(std::span(&header, 1)), 0));
  if (got < sizeof(header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return refuse("--exec-file '{}' is no ELF program (a script has no shell in a jail)", path);
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kMachine ||
      (header.e_type != ET_EXEC && header.e_type != ET_DYN) || header.e_phnum == 0 ||
      header.e_phentsize != sizeof(Elf64_Phdr)) {
    return refuse("--exec-file '{}' is no program for this processor", path);
  }
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  const auto bytes = std::as_writable_bytes(std::span(segments));
  MOTE_TRY(const auto read, read_at(fd.get(), bytes, header.e_phoff));
  if (read < bytes.size()) return refuse("--exec-file '{}' is cut short", path);
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

// What an O_PATH descriptor stands for, opened for reading, and its name where links lead.
Result<void> open_content(const UniqueFd& place, const std::string& path, ExecFile& file) {
  // Where the path has no link, it says the name, and /proc, which takes ten times as long, need
  // not be asked. What lies there may be another file by now, or none that an open returns from.
  file.fd = open_by_rules(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY,
                          RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  struct stat status{};
  if (file.fd && ::fstat(file.fd.get(), &status) == 0 && status.st_dev == file.status.st_dev &&
      status.st_ino == file.status.st_ino) {
    file.name = path.substr(path.rfind('/') + 1);
    return {};
  }
  MOTE_TRY(const std::string real, path_of(place));
  file.name = real.substr(real.rfind('/') + 1);
  MOTE_TRY(file.fd, open_file(fmt::format("/proc/self/fd/{}", place.get()), O_RDONLY));
  return {};
}

}  // namespace

Result<ExecFile> ExecFile::open(const std::string& path) {
  // Opened as a path first: a FIFO or a device is never touched.
  const UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!place) return fail_errno(errno, "--exec-file '{}'", path);
  ExecFile file{};
  if (::fstat(place.get(), &file.status) < 0) return fail_errno(errno, "look at '{}'", path);
  if (!S_ISREG(file.status.st_mode)) return refuse("--exec-file '{}' is no regular file", path);
  if ((file.status.st_mode & 0111) == 0) return refuse("--exec-file '{}' is not executable", path);
  if (file.status.st_nlink == 0) return refuse("--exec-file '{}' was removed", path);
  MOTE_CHECK(open_content(place, path, file));
  MOTE_TRY(file.needs_interpreter, read_header(file.fd, path));
  return file;
}

}  // namespace mote::isolation::jail

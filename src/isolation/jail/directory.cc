#include "isolation/jail/directory.h"

#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>

namespace mote::isolation::jail {

UniqueFd open_by_rules(int at, const std::string& path, int flags, std::uint64_t resolve,
                       mode_t mode) {
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = resolve;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, at, path.c_str(), &how, sizeof(how))));
}

Result<UniqueFd> open_base(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open the directory '{}'", path);
  return fd;
}

Result<UniqueFd> open_below(const UniqueFd& directory, const std::string& name, int flags,
                            mode_t mode) {
  constexpr std::uint64_t kRules = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd = open_by_rules(directory.get(), name, flags, kRules, mode);
  if (fd) return fd;
  if (errno == ELOOP) {
    return fail(ErrorKind::kInvalid, "'{}' is a symbolic link; inside a jail none is followed",
                name);
  }
  return fail_errno(errno, "open '{}'", name);
}

Result<UniqueFd> make_directory(const UniqueFd& directory, const std::string& name, mode_t mode,
                                Undo& undo) {
  if (::mkdirat(directory.get(), name.c_str(), mode) == 0) {
    MOTE_CHECK(undo.add_removal(directory, name, true));
  } else if (errno != EEXIST) {
    return fail_errno(errno, "make the directory '{}'", name);
  }
  return open_below(directory, name, O_RDONLY | O_DIRECTORY);
}

Result<struct stat> status_of(const UniqueFd& fd, const std::string& name) {
  struct stat status{};
  if (::fstat(fd.get(), &status) < 0) return fail_errno(errno, "look at '{}'", name);
  return status;
}

Result<std::string> path_of(const UniqueFd& fd) {
  std::array<char, PATH_MAX> text{};
  const std::string link = fmt::format("/proc/self/fd/{}", fd.get());
  const ssize_t length = ::readlink(link.c_str(), text.data(), text.size());
  if (length < 0) return fail_errno(errno, "read '{}' (is /proc mounted?)", link);
  return std::string(text.data(), static_cast<std::size_t>(length));
}

}  // namespace mote::isolation::jail

#include "isolation/landlock/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace mote::isolation {
namespace {

// The header of Linux 6.1 ends with version 2.
constexpr std::uint64_t kTruncate = 1 << 14;     // LANDLOCK_ACCESS_FS_TRUNCATE, version 3
constexpr std::uint64_t kIoctlDevice = 1 << 15;  // LANDLOCK_ACCESS_FS_IOCTL_DEV, 5
constexpr std::uint64_t kTcp =
    (1 << 0) | (1 << 1);  // LANDLOCK_ACCESS_NET_BIND_TCP, _CONNECT_TCP, 4
constexpr std::uint64_t kScopes =
    (1 << 0) | (1 << 1);  // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, _SIGNAL, 6

struct RulesetAttributes {
  std::uint64_t fs;
  std::uint64_t net;
  std::uint64_t scoped;
};
static_assert(offsetof(RulesetAttributes, fs) ==
              offsetof(landlock_ruleset_attr, handled_access_fs));

constexpr std::uint64_t kFirst = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // what version 1 knows

std::uint64_t known_of_files(int abi) {
  std::uint64_t known = kFirst;
  if (abi >= 2) known |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) known |= kTruncate;
  if (abi >= 5) known |= kIoctlDevice;
  return known;
}

// What can be allowed of something that is no directory.
constexpr std::uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDevice;
// Neither programs nor device nodes: a monitor starts and makes none.
constexpr std::uint64_t kNever =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

std::uint64_t access_of(Reach reach, bool is_directory, int abi) {
  if (reach == Reach::kUnlink) return LANDLOCK_ACCESS_FS_REMOVE_FILE;
  const std::uint64_t known = known_of_files(abi) & ~kNever;
  return is_directory ? known : known & kOfFiles;
}

}  // namespace

int landlock_abi() {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Result<Landlock> Landlock::create(int abi) {
  if (abi <= 0) return fail(ErrorKind::kUnsupported, "this kernel has no landlock");
  return make(known_of_files(abi), abi);
}

Result<Landlock> Landlock::create_without_files(int abi) {
  if (abi < 4) return fail(ErrorKind::kUnsupported, "this kernel's landlock knows files alone");
  return make(0, abi);
}

Result<Landlock> Landlock::make(std::uint64_t files, int abi) {
  const RulesetAttributes attributes{
      .fs = files, .net = abi >= 4 ? kTcp : 0, .scoped = abi >= 6 ? kScopes : 0};
  const std::size_t size = abi >= 6   ? sizeof attributes
                           : abi >= 4 ? offsetof(RulesetAttributes, scoped)
                                      : offsetof(RulesetAttributes, net);
  UniqueFd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!rules) return fail_errno(errno, "landlock: a set of rules of version {}", abi);
  return Landlock(std::move(rules), abi);
}

Result<void> Landlock::allow(const std::string& path, Reach reach) {
  const UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat about{};
  if (!file || ::fstat(file.get(), &about) != 0) return fail_errno(errno, "open '{}'", path);
  const bool is_directory = S_ISDIR(about.st_mode);
  if (reach == Reach::kUnlink && !is_directory) {
    return fail(ErrorKind::kInvalid, "'{}' is no directory", path);
  }
  const landlock_path_beneath_attr rule{.allowed_access = access_of(reach, is_directory, abi_),
                                        .parent_fd = file.get()};
  if (::syscall(SYS_landlock_add_rule, rules_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
    return fail_errno(errno, "landlock: '{}'", path);
  }
  return {};
}

Result<void> Landlock::enter() const {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno(errno, "landlock: no_new_privs");
  }
  if (::syscall(SYS_landlock_restrict_self, rules_.get(), 0) != 0) {
    return fail_errno(errno, "landlock");
  }
  return {};
}

}  // namespace mote::isolation

#include "isolation/jail/tree.h"

#include <fcntl.h>
#include <linux/major.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "isolation/jail/file_copy.h"

namespace mote::isolation::jail {
namespace {

// Documentation/admin-guide/devices.txt of the kernel.
constexpr unsigned kKvmMinor = 232;
constexpr unsigned kTunMinor = 200;
constexpr unsigned kUrandomMinor = 9;

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kNodeMode = 0600;

// A file that must not be there yet.
Result<UniqueFd> create(const UniqueFd& directory, const std::string& name, mode_t mode,
                        Undo& undo) {
  auto file = open_below(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (!file && file.error().kind() == ErrorKind::kState) {
    return fail(ErrorKind::kState,
                "'{}' is in the jail already; --cleanup removes a jail that has ended", name);
  }
  if (file) MOTE_CHECK(undo.add_removal(directory, name, false));
  return file;
}

// Makes the directory this process's alone, until hand_over(); `undo` gives it back.
Result<void> take(const UniqueFd& directory, const std::string& name, Undo& undo) {
  MOTE_TRY(const struct stat before, status_of(directory, name));
  MOTE_TRY(UniqueFd held, directory.duplicate());
  undo.add([held = std::move(held), before] {
    if (::fchown(held.get(), before.st_uid, before.st_gid) == 0) {
      ::fchmod(held.get(), before.st_mode & 07777U);
    }
  });
  const bool taken = ::fchown(directory.get(), ::geteuid(), ::getegid()) == 0 &&
                     ::fchmod(directory.get(), kDirectoryMode) == 0;
  if (!taken) return fail_errno(errno, "take the directory '{}'", name);
  return {};
}

Result<UniqueFd> take_directory(const UniqueFd& parent, const std::string& name, Undo& undo) {
  MOTE_TRY(UniqueFd directory, make_directory(parent, name, kDirectoryMode, undo));
  MOTE_CHECK(take(directory, name, undo));
  return directory;
}

Result<void> make_node(const Tree& tree, const Device& device, Undo& undo) {
  const auto [directory, name] = place_of(tree, device);
  const dev_t number = makedev(device.major, device.minor);
  if (::mknodat(directory->get(), name.c_str(), S_IFCHR | kNodeMode, number) == 0) {
    return undo.add_removal(*directory, name, false);
  }
  if (errno == EEXIST) {
    return fail(ErrorKind::kState,
                "'dev/{}' is in the jail already; --cleanup removes a jail that has ended",
                device.path);
  }
  return fail_errno(errno, "make the device 'dev/{}'", device.path);
}

Result<void> make_binary(Tree& tree, const Request& request, const ExecFile& monitor, mode_t mask,
                         Undo& undo) {
  const mode_t mode = request.share_exec ? 0 : monitor.status.st_mode & 0777U & ~mask;
  if (!request.share_exec && (mode & S_IXUSR) == 0) {
    return fail(ErrorKind::kInvalid,
                "--exec-file: its owner may not execute a copy of it (mode {:o})", mode);
  }
  MOTE_TRY(UniqueFd binary, create(tree.root, monitor.name, mode, undo));
  if (request.share_exec) return {};
  if (!request.user_ns && ::fchown(binary.get(), request.uid, request.gid) < 0) {
    return fail_errno(errno, "give the monitor to user {}, group {}", request.uid, request.gid);
  }
  if (!share_blocks(monitor.fd, binary)) tree.binary = std::move(binary);
  return {};
}

Result<void> make_devices(const Tree& tree, const Request& request, Undo& undo) {
  for (const Device& device : devices()) {
    if (request.user_ns) {  // a file to mount the host's on
      const auto [directory, name] = place_of(tree, device);
      MOTE_CHECK(create(*directory, name, 0, undo));
    } else {
      MOTE_CHECK(make_node(tree, device, undo));
    }
  }
  return {};
}

}  // namespace

std::vector<Device> devices() {
  std::vector<Device> all{{"kvm", MISC_MAJOR, kKvmMinor},
                          {"net/tun", MISC_MAJOR, kTunMinor},
                          {"urandom", MEM_MAJOR, kUrandomMinor}};
  struct stat status{};
  if (::stat("/dev/userfaultfd", &status) == 0 && S_ISCHR(status.st_mode)) {
    all.push_back({"userfaultfd", major(status.st_rdev), minor(status.st_rdev)});
  }
  return all;
}

std::pair<const UniqueFd*, std::string> place_of(const Tree& tree, const Device& device) {
  const std::string path = device.path;
  const auto slash = path.find('/');
  if (slash == path.npos) return {&tree.dev, path};
  return {&tree.net, path.substr(slash + 1)};
}

Result<Tree> begin_tree(const Request& request, const ExecFile& monitor, mode_t mask, Undo& undo) {
  MOTE_TRY(const UniqueFd base, open_base(request.base));
  MOTE_TRY(const UniqueFd kind, make_directory(base, monitor.name, 0777U & ~mask, undo));
  Tree tree;
  MOTE_TRY(tree.own, make_directory(kind, request.id, 0777U & ~mask, undo));
  if (::flock(tree.own.get(), LOCK_EX | LOCK_NB) < 0) {
    return fail_errno(errno, "the jail '{}' is being made or removed by someone else", request.id);
  }
  MOTE_TRY(tree.root, make_directory(tree.own, "root", kDirectoryMode, undo));
  // First what a jail that is there already has: nothing of it changes then.
  MOTE_CHECK(make_binary(tree, request, monitor, mask, undo));
  return tree;
}

Result<void> fill_tree(Tree& tree, const Request& request, const ExecFile& monitor, mode_t mask,
                       Undo& undo) {
  MOTE_CHECK(take(tree.root, "root", undo));
  MOTE_TRY(tree.dev, take_directory(tree.root, "dev", undo));
  MOTE_TRY(tree.net, take_directory(tree.dev, "net", undo));
  MOTE_TRY(tree.run, take_directory(tree.root, "run", undo));
  MOTE_CHECK(make_devices(tree, request, undo));
  MOTE_TRY(tree.pid_file, create(tree.root, monitor.name + ".pid", 0666U & ~mask, undo));
  return {};
}

Result<void> hand_over(const Tree& tree, const Request& request) {
  if (request.user_ns) return {};  // all is the caller's, and so is the jail
  const auto give = [&](const UniqueFd& directory, const std::string& name) -> Result<void> {
    const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if (::fchownat(directory.get(), name.c_str(), request.uid, request.gid, flags) == 0) return {};
    return fail_errno(errno, "give '{}' to user {}, group {}", name.empty() ? "a directory" : name,
                      request.uid, request.gid);
  };
  for (const Device& device : devices()) {
    const auto [directory, name] = place_of(tree, device);
    MOTE_CHECK(give(*directory, name));
  }
  // The root last: with it, the jail's user may change what lies in it.
  for (const UniqueFd* const directory : {&tree.net, &tree.dev, &tree.run, &tree.root}) {
    MOTE_CHECK(give(*directory, ""));
  }
  return {};
}

}  // namespace mote::isolation::jail

#include "isolation/jail/mounts.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mote::isolation::jail {
namespace {

// A mount of what the descriptor shows, attached nowhere yet, with these attributes besides those
// of the mount that it is seen in.
Result<UniqueFd> clone_mount(const UniqueFd& place, unsigned flags, std::uint64_t attributes,
                             const std::string& name) {
  UniqueFd mount(
      ::open_tree(place.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags));
  if (!mount) return fail_errno(errno, "make a mount of '{}'", name);
  struct mount_attr wanted{};
  wanted.attr_set = attributes;
  if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH, &wanted, sizeof(wanted)) < 0) {
    return fail_errno(errno, "restrict the mount of '{}'", name);
  }
  return mount;
}

Result<void> attach(const UniqueFd& mount, const UniqueFd& place, const std::string& name) {
  constexpr unsigned kByDescriptors = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (::move_mount(mount.get(), "", place.get(), "", kByDescriptors) == 0) return {};
  return fail_errno(errno, "mount '{}'", name);
}

// The monitor's file by itself: executable, where the root is not, and not to be written.
Result<UniqueFd> clone_monitor(const Tree& tree, const ExecFile& monitor, bool share) {
  constexpr std::uint64_t kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (share) return clone_mount(monitor.fd, 0, kAttributes, monitor.name);
  MOTE_TRY(const UniqueFd copy, open_below(tree.root, monitor.name, O_PATH));
  return clone_mount(copy, 0, kAttributes, monitor.name);
}

// Attaches what is to be seen at `path` in the jail. A file that is a mount point cannot be
// removed.
Result<void> attach_below(const UniqueFd& root, const UniqueFd& mount, const std::string& path,
                          Undo& undo) {
  MOTE_TRY(const UniqueFd place, open_below(root, path, O_PATH));
  MOTE_CHECK(attach(mount, place, path));
  undo.add([path] { ::umount2(("/" + path).c_str(), MNT_DETACH); });
  return {};
}

// The host's devices, on the files that the tree has for them.
Result<void> mount_devices(const UniqueFd& root, Undo& undo) {
  for (const Device& device : devices()) {
    const std::string path = fmt::format("dev/{}", device.path);
    const UniqueFd host(::open(fmt::format("/{}", path).c_str(), O_PATH | O_CLOEXEC));
    if (!host) return fail_errno(errno, "find the host's /{}", path);
    MOTE_TRY(const UniqueFd mount,
             clone_mount(host, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, path));
    MOTE_CHECK(attach_below(root, mount, path, undo));
  }
  return {};
}

// pivot_root(2), "pivot_root(".", ".")": the old root comes to lie over the new one, and goes.
Result<void> pivot(const UniqueFd& root) {
  if (::fchdir(root.get()) < 0) return fail_errno(errno, "enter the jail's root");
  if (::syscall(SYS_pivot_root, ".", ".") < 0) {
    return fail_errno(errno, "make the jail's root the root");
  }
  if (::umount2(".", MNT_DETACH) < 0) return fail_errno(errno, "let go of the host's root");
  if (::chdir("/") < 0) return fail_errno(errno, "enter the jail's root");
  return {};
}

}  // namespace

Result<void> make_mounts_private(bool has_namespace) {
  if (!has_namespace && ::unshare(CLONE_NEWNS) < 0) {
    return fail_errno(errno, "make a mount namespace");
  }
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0) {
    return fail_errno(errno, "make the mounts private");
  }
  return {};
}

// unshare(2) takes the working directory along into the new namespace, and no other descriptor.
Result<void> make_mounts_private_below(Tree& tree, bool has_namespace) {
  if (::fchdir(tree.root.get()) < 0) return fail_errno(errno, "enter the jail's root");
  MOTE_CHECK(make_mounts_private(has_namespace));
  MOTE_TRY(tree.root, open_file(".", O_RDONLY | O_DIRECTORY));
  return {};
}

Result<void> enter_root(const Tree& tree, const Request& request, const ExecFile& monitor,
                        Undo& undo) {
  std::uint64_t attributes = MOUNT_ATTR_NOSUID;
  if (!monitor.needs_interpreter) attributes |= MOUNT_ATTR_NOEXEC;
  if (request.user_ns) attributes |= MOUNT_ATTR_NODEV;
  MOTE_TRY(const UniqueFd executable, clone_monitor(tree, monitor, request.share_exec));
  // With what the host mounted below it: a disk, say.
  MOTE_TRY(const UniqueFd root, clone_mount(tree.root, AT_RECURSIVE, attributes, "root"));
  MOTE_CHECK(attach(root, tree.root, "root"));
  MOTE_CHECK(attach_below(root, executable, monitor.name, undo));
  if (request.user_ns) MOTE_CHECK(mount_devices(root, undo));
  return pivot(root);
}

}  // namespace mote::isolation::jail

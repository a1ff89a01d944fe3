#include "isolation/jail/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <memory>

#include "isolation/jail/cgroups.h"
#include "isolation/jail/directory.h"

namespace mote::isolation::jail {
namespace {

struct CloseDir {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

// The names in a directory, without . and ..; at most `most` of them.
Result<std::vector<std::string>> names_in(const UniqueFd& directory, std::size_t most) {
  UniqueFd own(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) return fail_errno(errno, "open a directory");
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(own.get()));
  if (!stream) return fail_errno(errno, "read a directory");
  own.release();
  std::vector<std::string> names;
  while (const dirent* const entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    if (names.size() == most) break;
  }
  return names;
}

// A directory in `parent` that is on the same mount.
Result<UniqueFd> open_own(const UniqueFd& parent, const std::string& name) {
  UniqueFd fd = open_by_rules(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                              RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
  if (fd) return fd;
  if (errno == EXDEV) {
    return fail(ErrorKind::kState, "something is mounted on '{}' in the jail; unmount it first",
                name);
  }
  return fail_errno(errno, "open '{}'", name);
}

Result<bool> remove_one(const UniqueFd& directory, const std::string& name) {
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0) return true;
  if (errno != EISDIR) return fail_errno(errno, "remove '{}'", name);
  if (::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) == 0) return true;
  if (errno == ENOTEMPTY || errno == EEXIST) return false;
  return fail_errno(errno, "remove '{}'", name);
}

constexpr std::size_t kAtOnce = 4096;

// Empties a directory in `top`; what is not empty in it comes to lie in `top`.
Result<void> lift(const UniqueFd& top, const std::string& name, std::uint64_t& counter) {
  MOTE_TRY(const UniqueFd directory, open_own(top, name));
  // A jail's user may have closed its own directories.
  if (::fchmod(directory.get(), 0700) < 0) return fail_errno(errno, "open up '{}'", name);
  while (true) {
    MOTE_TRY(const auto names, names_in(directory, kAtOnce));
    if (names.empty()) return {};
    for (const std::string& inner : names) {
      MOTE_TRY(const bool gone, remove_one(directory, inner));
      if (gone) continue;
      int moved = -1;
      do {
        const std::string fresh = fmt::format("removed-{}", counter++);
        moved =
            ::renameat2(directory.get(), inner.c_str(), top.get(), fresh.c_str(), RENAME_NOREPLACE);
      } while (moved < 0 && errno == EEXIST);
      if (moved < 0) return fail_errno(errno, "move '{}'", inner);
    }
  }
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// The id of a process whose root is the jail's.
Result<std::optional<std::string>> someone_in(const UniqueFd& root) {
  MOTE_TRY(const struct stat jail, status_of(root, "root"));
  MOTE_TRY(const UniqueFd processes, open_base("/proc"));
  MOTE_TRY(const auto names, names_in(processes, SIZE_MAX));
  for (const std::string& name : names) {
    struct stat status{};
    if (!is_number(name) || ::fstatat(processes.get(), (name + "/root").c_str(), &status, 0) < 0) {
      continue;  // a process that has ended, or one that is not ours to look at
    }
    if (status.st_dev == jail.st_dev && status.st_ino == jail.st_ino) return name;
  }
  return std::nullopt;
}

// Nothing is removed of a jail in which something of the host's would have to stay.
Result<void> check_mounts(const UniqueFd& own) {
  MOTE_TRY(const std::string path, path_of(own));
  MOTE_TRY(const std::string mountinfo, read_list("/proc/self/mountinfo"));
  for (const std::string& point : parse_mount_points(mountinfo)) {
    if (!point.starts_with(path + "/")) continue;
    return fail(ErrorKind::kState, "something is mounted at '{}'; unmount it first", point);
  }
  return {};
}

struct Place {
  UniqueFd kind;     // BASE/EXEC
  std::string name;  // EXEC
};

Result<Place> find(const CleanupRequest& request) {
  MOTE_TRY(const UniqueFd base, open_base(request.base));
  std::vector<std::string> names;
  if (request.exec_name) {
    names.push_back(*request.exec_name);
  } else {
    MOTE_TRY(names, names_in(base, SIZE_MAX));
  }
  std::optional<Place> found;
  for (const std::string& name : names) {
    auto kind = open_below(base, name, O_RDONLY | O_DIRECTORY);
    if (!kind || !open_below(*kind, request.id, O_RDONLY | O_DIRECTORY)) continue;
    if (found) {
      return fail(ErrorKind::kInvalid,
                  "both '{}' and '{}' have a jail '{}' in '{}'; say which with --exec-file",
                  found->name, name, request.id, request.base);
    }
    found = Place{std::move(*kind), name};
  }
  if (found) return std::move(*found);
  return fail(ErrorKind::kNotFound, "'{}' has no jail '{}'", request.base, request.id);
}

}  // namespace

Result<void> remove_contents(const UniqueFd& directory) {
  std::uint64_t counter = 0;
  while (true) {
    MOTE_TRY(const auto names, names_in(directory, kAtOnce));
    if (names.empty()) return {};
    for (const std::string& name : names) {
      MOTE_TRY(bool gone, remove_one(directory, name));
      if (gone) continue;
      MOTE_CHECK(lift(directory, name, counter));
      MOTE_TRY(gone, remove_one(directory, name));
    }
  }
}

Result<void> clean_up(const CleanupRequest& request) {
  MOTE_TRY(const Place place, find(request));
  MOTE_TRY(const UniqueFd own, open_below(place.kind, request.id, O_RDONLY | O_DIRECTORY));
  if (::flock(own.get(), LOCK_EX | LOCK_NB) < 0) {
    return fail_errno(errno, "the jail '{}' is being made or removed", request.id);
  }
  if (const auto root = open_below(own, "root", O_RDONLY | O_DIRECTORY)) {
    MOTE_TRY(const auto process, someone_in(*root));
    if (process) {
      return fail(ErrorKind::kState, "process {} is still in the jail '{}'; end it first", *process,
                  request.id);
    }
  }
  MOTE_CHECK(check_mounts(own));
  MOTE_TRY(const CgroupHost host, CgroupHost::read());
  MOTE_CHECK(remove_cgroups(request.parent_cgroup.value_or(place.name), request.id, host));
  MOTE_CHECK_WITHIN(remove_contents(own), "empty the jail '{}'", request.id);
  if (::unlinkat(place.kind.get(), request.id.c_str(), AT_REMOVEDIR) == 0) return {};
  return fail_errno(errno, "remove the jail '{}'", request.id);
}

}  // namespace mote::isolation::jail

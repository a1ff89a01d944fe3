#include "isolation/jail/cgroups.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "isolation/jail/directory.h"

namespace mote::isolation::jail {
namespace {

Result<std::string> read_file(const UniqueFd& cgroup, const std::string& name) {
  constexpr std::size_t kMost = 64 << 10;
  MOTE_TRY(const UniqueFd file, open_below(cgroup, name, O_RDONLY));
  MOTE_TRY(std::string text, read_all(file.get(), kMost));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// One write, as the kernel takes a value whole or not at all.
Result<void> write_file(const UniqueFd& cgroup, const std::string& name, std::string_view value) {
  MOTE_TRY(const UniqueFd file, open_below(cgroup, name, O_WRONLY));
  const ssize_t wrote = ::write(file.get(), value.data(), value.size());
  if (wrote >= 0) return {};
  return fail_errno(errno, "the kernel refuses {} for {}", json::quote(value), name);
}

bool lists(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const auto space = words.find(' ');
    if (words.substr(0, space) == word) return true;
    if (space == words.npos) break;
    words.remove_prefix(space + 1);
  }
  return false;
}

// A cpuset of version 1 starts with no CPUs and no memory nodes, and takes no process like that:
// it gets its parent's.
Result<void> inherit_cpuset(const UniqueFd& parent, const UniqueFd& child) {
  for (const char* const name : {"cpuset.cpus", "cpuset.mems"}) {
    MOTE_TRY(const std::string own, read_file(child, name));
    if (!own.empty()) continue;
    MOTE_TRY(const std::string above, read_file(parent, name));
    MOTE_CHECK(write_file(child, name, above));
  }
  return {};
}

// Lets the children of a cgroup of version 2 have the controllers; what is enabled is left alone.
Result<void> enable(const UniqueFd& cgroup, std::span<const CgroupSetting> settings) {
  for (const CgroupSetting& setting : settings) {
    MOTE_TRY(const std::string enabled, read_file(cgroup, "cgroup.subtree_control"));
    if (lists(enabled, setting.controller())) continue;
    MOTE_CHECK(
        write_file(cgroup, "cgroup.subtree_control", fmt::format("+{}", setting.controller())));
  }
  return {};
}

// Puts this process into the cgroup, and back where it was when the jail cannot be finished.
Result<void> attach(const UniqueFd& hierarchy, const UniqueFd& cgroup, const CgroupHost& host,
                    std::string_view controller, Undo& undo) {
  MOTE_TRY(UniqueFd before, hierarchy.duplicate());
  if (const auto own = parse_own_cgroup(host.own, controller)) {
    for (const std::string& part : components(*own)) {
      auto next = open_below(before, part, O_RDONLY | O_DIRECTORY);
      if (!next) break;  // a cgroup namespace shows another root
      before = std::move(*next);
    }
  }
  MOTE_CHECK(write_file(cgroup, "cgroup.procs", host.pid));
  undo.add([before = std::move(before), pid = host.pid] {
    (void)write_file(before, "cgroup.procs", pid);
  });
  return {};
}

struct Hierarchy {
  const CgroupMount* mount;
  std::vector<CgroupSetting> settings = {};
};

const CgroupMount* find_mount(const CgroupHost& host, CgroupVersion version,
                              std::string_view controller) {
  for (const CgroupMount& mount : host.mounts) {
    if (mount.version != version) continue;
    if (version == CgroupVersion::k2) return &mount;
    if (std::ranges::find(mount.controllers, controller) != mount.controllers.end()) return &mount;
  }
  return nullptr;
}

Result<void> check_available(const CgroupMount& mount, std::string_view controller) {
  MOTE_TRY(const UniqueFd top, open_base(mount.at));
  MOTE_TRY(const std::string available, read_file(top, "cgroup.controllers"));
  if (lists(available, controller)) return {};
  return fail(ErrorKind::kInvalid, "cgroup v2 at {} has no controller {}; it has: {}", mount.at,
              json::quote(controller), available.empty() ? "none" : available);
}

// The settings by the hierarchy that they are for, in their order.
Result<std::vector<Hierarchy>> by_hierarchy(const CgroupPlan& plan, const CgroupHost& host) {
  std::vector<Hierarchy> found;
  for (const CgroupSetting& setting : plan.settings) {
    const CgroupMount* const mount = find_mount(host, plan.version, setting.controller());
    if (!mount) {
      return fail(ErrorKind::kInvalid, "--cgroup {}: this host has no cgroup v{} hierarchy for {}",
                  setting.file, static_cast<int>(plan.version), json::quote(setting.controller()));
    }
    if (plan.version == CgroupVersion::k2) {
      MOTE_CHECK_WITHIN(check_available(*mount, setting.controller()), "--cgroup {}", setting.file);
    }
    auto place = std::ranges::find(found, mount, &Hierarchy::mount);
    if (place == found.end()) place = found.insert(found.end(), Hierarchy{.mount = mount});
    place->settings.push_back(setting);
  }
  return found;
}

Result<void> enter(const Hierarchy& hierarchy, const CgroupPlan& plan, const CgroupHost& host,
                   Undo& undo) {
  const CgroupMount& mount = *hierarchy.mount;
  const bool second = mount.version == CgroupVersion::k2;
  const bool cpuset =
      !second && std::ranges::find(mount.controllers, "cpuset") != mount.controllers.end();
  MOTE_TRY(const UniqueFd top, open_base(mount.at));
  MOTE_TRY(UniqueFd at, top.duplicate());
  std::vector<std::string> path = components(plan.parent);
  path.push_back(plan.id);
  for (const std::string& part : path) {
    if (second) MOTE_CHECK_WITHIN(enable(at, hierarchy.settings), "a cgroup above '{}'", part);
    MOTE_TRY(UniqueFd next, make_directory(at, part, 0755, undo));
    if (cpuset) MOTE_CHECK(inherit_cpuset(at, next));
    at = std::move(next);
  }
  for (const CgroupSetting& setting : hierarchy.settings) {
    MOTE_CHECK_WITHIN(write_file(at, setting.file, setting.value), "--cgroup {}", setting.file);
  }
  return attach(top, at, host, second ? "" : hierarchy.settings.front().controller(), undo);
}

Result<void> enter_existing(const CgroupPlan& plan, const CgroupHost& host, Undo& undo) {
  const CgroupMount* const mount = find_mount(host, CgroupVersion::k2, "");
  if (!mount) return {};
  MOTE_TRY(const UniqueFd top, open_base(mount->at));
  MOTE_TRY(UniqueFd at, top.duplicate());
  for (const std::string& part : components(plan.parent)) {
    auto next = open_below(at, part, O_RDONLY | O_DIRECTORY);
    if (!next && next.error().kind() == ErrorKind::kNotFound) return {};
    MOTE_TRY(at, std::move(next));
  }
  return attach(top, at, host, "", undo);
}

}  // namespace

Result<CgroupHost> CgroupHost::read() {
  CgroupHost host;
  MOTE_TRY(const std::string mountinfo, read_list("/proc/self/mountinfo"));
  host.mounts = parse_cgroup_mounts(mountinfo);
  MOTE_TRY(host.own, read_list("/proc/self/cgroup"));
  host.pid = fmt::format("{}", ::getpid());
  return host;
}

Result<void> check_hierarchies(const CgroupPlan& plan, const CgroupHost& host) {
  MOTE_CHECK(by_hierarchy(plan, host));
  return {};
}

Result<void> enter_cgroups(const CgroupPlan& plan, const CgroupHost& host, Undo& undo) {
  if (plan.settings.empty()) {
    const bool enters = plan.version == CgroupVersion::k2 && plan.enter_parent;
    return enters ? enter_existing(plan, host, undo) : Result<void>{};
  }
  MOTE_TRY(const auto hierarchies, by_hierarchy(plan, host));
  for (const Hierarchy& hierarchy : hierarchies) {
    MOTE_CHECK_WITHIN(enter(hierarchy, plan, host, undo), "cgroups at {}", hierarchy.mount->at);
  }
  return {};
}

Result<void> remove_cgroups(const std::string& parent, const std::string& id,
                            const CgroupHost& host) {
  for (const CgroupMount& mount : host.mounts) {
    auto at = open_base(mount.at);
    for (const std::string& part : components(parent)) {
      if (at) at = open_below(*at, part, O_RDONLY | O_DIRECTORY);
    }
    if (!at && at.error().kind() != ErrorKind::kNotFound) return std::unexpected(at.error());
    if (!at || ::unlinkat(at->get(), id.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
    return fail_errno(errno, "remove the cgroup {}/{}/{}", mount.at, parent, id);
  }
  return {};
}

}  // namespace mote::isolation::jail

#include "isolation/jail/jail.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "isolation/jail/cgroups.h"
#include "isolation/jail/exec_file.h"
#include "isolation/jail/file_copy.h"
#include "isolation/jail/mounts.h"
#include "isolation/jail/processes.h"
#include "isolation/jail/rights.h"
#include "isolation/jail/tree.h"
#include "isolation/jail/undo.h"
#include "isolation/jail/user_ns.h"

namespace mote::isolation::jail {
namespace {

// The network namespace that a file stands for, as `ip netns` makes them.
Result<UniqueFd> open_netns(const std::string& path) {
  MOTE_TRY(UniqueFd fd, open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (::ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET) return fd;
  return fail(ErrorKind::kInvalid, "'{}' is no network namespace", path);
}

// Everything that is needed of the host, found before anything is made.
struct Found {
  ExecFile monitor;
  UniqueFd netns;
  CgroupHost cgroups;
};

CgroupPlan cgroup_plan(const Request& request, const ExecFile& monitor) {
  return {.version = request.cgroup_version,
          .parent = request.parent_cgroup.value_or(monitor.name),
          .id = request.id,
          .settings = request.cgroups,
          .enter_parent = request.parent_cgroup.has_value()};
}

Result<Found> find(const Request& request) {
  MOTE_TRY(ExecFile monitor, ExecFile::open(request.exec_file));
  Found found{.monitor = std::move(monitor), .netns = {}, .cgroups = {}};
  if (request.netns) {
    auto netns = open_netns(*request.netns);
    if (!netns) return std::unexpected(std::move(netns.error()).within("--netns"));
    found.netns = std::move(*netns);
  }
  if (!request.cgroups.empty() || request.parent_cgroup) {
    MOTE_TRY(found.cgroups, CgroupHost::read());
    MOTE_CHECK(check_hierarchies(cgroup_plan(request, found.monitor), found.cgroups));
  }
  return found;
}

Result<void> enter_namespaces(const Request& request, const Found& found) {
  if (found.netns && ::setns(found.netns.get(), CLONE_NEWNET) < 0) {
    return fail_errno(errno, "--netns: enter '{}'", *request.netns);
  }
  if (request.new_cgroup_ns && ::unshare(CLONE_NEWCGROUP) < 0) {
    return fail_errno(errno, "--new-cgroup-ns: make a cgroup namespace");
  }
  return {};
}

std::vector<std::string> command_line(const Request& request, const ExecFile& monitor,
                                      const StartTimes& started, std::uint64_t parents_cpu) {
  std::vector<std::string> words{"/" + monitor.name,
                                 "--id",
                                 request.id,
                                 "--start-time-us",
                                 fmt::format("{}", started.monotonic),
                                 "--start-time-cpu-us",
                                 fmt::format("{}", started.cpu),
                                 "--parent-cpu-time-us",
                                 fmt::format("{}", parents_cpu)};
  words.insert(words.end(), request.arguments.begin(), request.arguments.end());
  return words;
}

Result<void> finish(Copier& copier) {
  MOTE_CHECK_WITHIN(copier.finish(), "copy the monitor into the jail");
  return {};
}

// Gives up what the monitor does not need, and becomes it. `null` is what a daemon has for its
// standard streams. Returns what kept it from that.
Error become(const Request& request, const Found& found, const std::vector<std::string>& words,
             const UniqueFd& null, mode_t mask, Copier& copier) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  char* const no_environment[] = {nullptr};
  for (int stream = 0; null && stream <= STDERR_FILENO; ++stream) {
    if (::dup2(null.get(), stream) < 0) {
      return Error(ErrorKind::kInternal, "detach the standard streams: " + errno_text(errno));
    }
  }
  if (::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
    return Error(ErrorKind::kInternal, "close what is open: " + errno_text(errno));
  }
  ::umask(mask);
  if (auto bound = bound_rights(); !bound) return bound.error();
  if (auto copied = finish(copier); !copied) return copied.error();
  // They would hold for the copy as well.
  if (auto limited = set_limits(request.limits, !request.user_ns); !limited) return limited.error();
  if (auto changed = change_user_at_exec(request.uid, request.gid, request.user_ns); !changed) {
    return changed.error();
  }
  ::execve(argv.front(), argv.data(), no_environment);
  const int code = errno;
  keep_rights_after_all();
  const char* const hint = code == ENOENT && found.monitor.needs_interpreter
                               ? " (it needs a dynamic linker, which the jail has not)"
                               : "";
  return Error(kind_of_errno(code),
               fmt::format("start '{}' in the jail: {}{}", words.front(), errno_text(code), hint));
}

// All of a jail but the monitor's content and its processes' namespaces.
Result<void> furnish(Tree& tree, const Request& request, const Found& found, mode_t mask,
                     Undo& undo) {
  MOTE_CHECK(fill_tree(tree, request, found.monitor, mask, undo));
  MOTE_CHECK(enter_cgroups(cgroup_plan(request, found.monitor), found.cgroups, undo));
  MOTE_CHECK(hand_over(tree, request));
  MOTE_CHECK(enter_root(tree, request, found.monitor, undo));
  MOTE_CHECK(enter_namespaces(request, found));
  MOTE_CHECK(take_core_cookie());
  return {};
}

Result<void> start_in(const Request& request, const StartTimes& started, mode_t mask) {
  UniqueFd null;  // of the host's mounts, so that it stays what it is called
  if (request.daemonize) {
    MOTE_TRY(null, open_file("/dev/null", O_RDWR));
  }
  if (request.user_ns) MOTE_CHECK(enter_user_namespace(request.uid, request.gid));
  Undo undo;
  Copier copier;
  // The copy takes as long as all else, so it begins before whatever need not come first; but what
  // is mounted must have been opened where it is mounted.
  if (request.share_exec) MOTE_CHECK(make_mounts_private(request.user_ns));
  if (!request.share_exec) copier.prepare();
  MOTE_TRY(Found found, find(request));
  MOTE_TRY(Tree tree, begin_tree(request, found.monitor, mask, undo));
  if (tree.binary) {
    copier.begin(std::move(found.monitor.fd), std::move(tree.binary),
                 static_cast<std::uint64_t>(found.monitor.status.st_size));
  }
  if (!request.share_exec) MOTE_CHECK(make_mounts_private_below(tree, request.user_ns));
  MOTE_CHECK(furnish(tree, request, found, mask, undo));
  const auto become_it = [&](const StartTimes& times, std::uint64_t parents_cpu) {
    return become(request, found, command_line(request, found.monitor, times, parents_cpu), null,
                  mask, copier);
  };
  if (request.daemonize || request.new_pid_ns) {
    MOTE_CHECK(finish(copier));
    copier.end();  // a process that is made has no such thread
    MOTE_CHECK(detach({.daemonize = request.daemonize, .new_pid_ns = request.new_pid_ns},
                      tree.pid_file, started.cpu, [&](std::uint64_t parents_cpu) {
                        const StartTimes own{.monotonic = started.monotonic, .cpu = 0};
                        return become_it(own, parents_cpu);
                      }));
    undo.keep();
    return {};
  }
  MOTE_CHECK(write_pid(tree.pid_file, ::getpid()));
  return std::unexpected(become_it(started, 0));
}

}  // namespace

Result<void> start(const Request& request, const StartTimes& started) {
  const mode_t mask = ::umask(0);
  auto done = start_in(request, started, mask);
  ::umask(mask);
  return done;
}

}  // namespace mote::isolation::jail

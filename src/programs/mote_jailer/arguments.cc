#include "programs/mote_jailer/arguments.h"

#include <algorithm>
#include <array>
#include <variant>
#include <vector>

#include "programs/flags.h"
#include "programs/mote_jailer/values.h"

namespace mote::jailer {
namespace {

using isolation::jail::Request;

constexpr std::string_view kJailerLine = "Jailer v1.17.0\n";

using Target =
    std::variant<bool Request::*, bool Arguments::*, std::string Request::*,
                 std::optional<std::string> Request::*, uid_t Request::*, CgroupVersion Request::*,
                 std::vector<CgroupSetting> Request::*, Limits Request::*>;

struct Flag {
  std::string_view name;
  std::string_view value;  // what its value is called in the help; empty where it takes none
  std::string_view help;
  Target target;
  bool many = false;      // may be given more than once
  bool required = false;  // unless a jail is removed
};

constexpr std::array kFlags{
    Flag{"--id", "ID", "Name of the microVM and of its jail.", &Request::id, false, true},
    Flag{"--exec-file", "FILE", "The monitor, which is copied into the jail.", &Request::exec_file,
         false, true},
    Flag{"--uid", "N", "User that the monitor runs as.", &Request::uid, false, true},
    Flag{"--gid", "N", "Group that the monitor runs as.", &Request::gid, false, true},
    Flag{"--chroot-base-dir", "DIR", "Where jails lie (default: /srv/jailer).", &Request::base},
    Flag{"--netns", "FILE", "Network namespace to enter.", &Request::netns},
    Flag{"--cgroup", "FILE=VALUE", "Write VALUE to FILE of the jail's cgroup; may be repeated.",
         &Request::cgroups, true},
    Flag{"--cgroup-version", "1|2", "Which cgroups --cgroup means (default: 1).",
         &Request::cgroup_version},
    Flag{"--parent-cgroup", "PATH", "Where the jail's cgroup lies (default: the monitor's name).",
         &Request::parent_cgroup},
    Flag{"--resource-limit", "LIMIT", "fsize=BYTES or no-file=NUMBER (default: no-file=2048).",
         &Request::limits, true},
    Flag{"--daemonize", "", "Run the monitor in a session of its own, without standard streams.",
         &Request::daemonize},
    Flag{"--new-pid-ns", "", "Run the monitor as the first process of a pid namespace.",
         &Request::new_pid_ns},
    Flag{"--new-cgroup-ns", "", "Run the monitor in a cgroup namespace.", &Request::new_cgroup_ns},
    Flag{"--user-ns", "", "Make the jail without privileges, in a user namespace.",
         &Request::user_ns},
    Flag{"--share-exec", "", "Mount the monitor's file into the jail instead of copying it.",
         &Request::share_exec},
    Flag{"--cleanup", "", "Remove the jail --id, whose monitor has ended, and its cgroups.",
         &Arguments::cleanup},
    Flag{"--version", "", "Print the version.", &Arguments::version},
    Flag{"--help", "", "Print this text (also -h).", &Arguments::help},
};

using List = std::vector<std::string_view>;

bool has(const List& list, std::string_view item) {
  return std::ranges::find(list, item) != list.end();
}

// Sets what a flag stands for; `value` is empty where it takes none.
struct Set {
  const Flag& flag;
  std::string_view value;
  Arguments& into;

  Result<void> operator()(bool Request::* target) const {
    into.jail.*target = true;
    return {};
  }
  Result<void> operator()(bool Arguments::* target) const {
    into.*target = true;
    return {};
  }
  Result<void> operator()(std::string Request::* target) const { return text(into.jail.*target); }
  Result<void> operator()(std::optional<std::string> Request::* target) const {
    // The empty parent cgroup is the hierarchy itself.
    if (target == &Request::parent_cgroup) {
      into.jail.*target = std::string(value);
      return check_parent_cgroup(value);
    }
    return text((into.jail.*target).emplace());
  }
  Result<void> operator()(uid_t Request::* target) const {
    return take(parse_user(value, flag.name), into.jail.*target);
  }
  Result<void> operator()(CgroupVersion Request::* target) const {
    return take(parse_cgroup_version(value), into.jail.*target);
  }
  Result<void> operator()(std::vector<CgroupSetting> Request::* target) const {
    return take(parse_cgroup(value), (into.jail.*target).emplace_back());
  }
  Result<void> operator()(Limits Request::* target) const {
    return parse_limit(value, into.jail.*target);
  }

  Result<void> text(std::string& target) const {
    target = value;
    if (!value.empty()) return {};
    return fail(ErrorKind::kInvalid, "{} is empty; give {} {}", flag.name, flag.name, flag.value);
  }
  template <typename Value>
  static Result<void> take(Result<Value> read, Value& target) {
    MOTE_TRY(target, std::move(read));
    return {};
  }
};

// A jail that is removed is named by its id, and by where it lies.
Result<void> check_cleanup(const List& list) {
  constexpr std::array<std::string_view, 5> kNames{"--cleanup", "--id", "--exec-file",
                                                   "--chroot-base-dir", "--parent-cgroup"};
  for (const Flag& flag : kFlags) {
    if (has(list, flag.name) && std::ranges::find(kNames, flag.name) == kNames.end()) {
      return fail(ErrorKind::kInvalid, "{} does not go with --cleanup", flag.name);
    }
  }
  return {};
}

Result<void> check_together(const List& list, const Arguments& arguments) {
  if (arguments.cleanup) MOTE_CHECK(check_cleanup(list));
  for (const Flag& flag : kFlags) {
    const bool needed = arguments.cleanup ? flag.name == "--id" : flag.required;
    if (needed && !has(list, flag.name)) {
      return fail(ErrorKind::kInvalid, "{} is missing; give {} {}", flag.name, flag.name,
                  flag.value);
    }
  }
  return check_id(arguments.jail.id);
}

}  // namespace

Result<Arguments> parse(std::span<const char* const> arguments) {
  List list(arguments.begin(), arguments.end());
  const auto end = std::ranges::find(list, "--");
  const List extra(end == list.end() ? end : end + 1, list.end());
  list.erase(end, list.end());
  Arguments parsed;
  parsed.help = has(list, "--help") || has(list, "-h");
  parsed.version = !parsed.help && has(list, "--version");
  if (parsed.help || parsed.version) return parsed;
  MOTE_CHECK(read_flags(list, kFlags, "mote-jailer", [&](const Flag& flag, std::string_view value) {
    return std::visit(Set{flag, value, parsed}, flag.target);
  }));
  MOTE_CHECK(check_together(list, parsed));
  parsed.jail.arguments.assign(extra.begin(), extra.end());
  return parsed;
}

std::string version(std::string_view argv0) {
  const bool as_jailer = argv0.substr(argv0.rfind('/') + 1) == "jailer";
  return fmt::format("{}mote-jailer v{}\n", as_jailer ? kJailerLine : "", MOTE_VERSION);
}

std::string help(std::string_view argv0) {
  std::string text = version(argv0);
  text +=
      "Runs a monitor in a jail: DIR/NAME/ID/root, where NAME is that of the monitor's file.\n\n"
      "Usage: mote-jailer --id ID --exec-file FILE --uid N --gid N [FLAG...] [-- "
      "FLAG_OF_MONITOR...]\n"
      "       mote-jailer --cleanup --id ID [--exec-file FILE] [--chroot-base-dir DIR]\n"
      "                   [--parent-cgroup PATH]\n\n"
      "Flags:\n";
  for (const Flag& flag : kFlags) {
    const std::string left =
        flag.value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, flag.value);
    text += fmt::format("  {:<26}{}\n", left, flag.help);
  }
  text +=
      "\nExit status: the monitor's; with --daemonize or --new-pid-ns, 0 once it has started; 1 "
      "failed.\n";
  return text;
}

}  // namespace mote::jailer

#include "programs/mote_vmm/file_rules.h"

#include <optional>

#include "base/json.h"
#include "base/log.h"
#include "isolation/landlock/landlock.h"

namespace mote::vmm {
namespace {

using isolation::Landlock;
using isolation::Reach;

// A thread that starts has nothing else to know it by.
std::optional<Landlock>& the_rules_of_threads() {
  static std::optional<Landlock> rules;
  return rules;
}

Result<void> allow_paths(Landlock& rules, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    MOTE_CHECK_WITHIN(rules.allow(path), "--allow-path");
  }
  return {};
}

// The sockets that a machine makes and removes at its end.
std::vector<std::string> sockets_of(const machine::VmConfig& config) {
  std::vector<std::string> paths;
  if (config.vsock) paths.push_back(config.vsock->uds_path);
  if (!config.console) return paths;
  for (const virtio::PortConfig& port : config.console->ports) {
    if (port.mode == virtio::PortMode::Socket && port.path) paths.push_back(*port.path);
  }
  return paths;
}

// What a client's paths have nothing to do with is out of reach all the same, for this thread and
// those that it starts.
Result<void> keep_to_sockets_with_paths() {
  const int abi = isolation::landlock_abi();
  if (abi < 4) return {};
  MOTE_TRY(const Landlock rules, Landlock::create_without_files(abi));
  return rules.enter();
}

}  // namespace

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool has_file_rules() { return the_rules_of_threads().has_value(); }

Result<void> prepare_file_rules(const Arguments& arguments) {
  const bool asked = !arguments.allow_path.empty();
  if (!asked && !arguments.no_api) return {};
  const int abi = isolation::landlock_abi();
  if (abi == 0 && !asked) {
    log::debug("This kernel has no landlock: the files of the host are not out of reach");
    return {};
  }
  auto closed = Landlock::create(abi);
  if (!closed) return std::unexpected(std::move(closed.error()).within("--allow-path"));
  if (asked) {
    // So that a path that is not there is told before anything is made.
    MOTE_TRY(Landlock tried, Landlock::create(abi));
    MOTE_CHECK(allow_paths(tried, arguments.allow_path));
  }
  log::debug("Files are put out of reach by landlock, version {}", abi);
  the_rules_of_threads() = std::move(*closed);
  return {};
}

Result<void> enter_file_rules(const Arguments& arguments) {
  if (!has_file_rules())
    return arguments.no_seccomp ? Result<void>{} : keep_to_sockets_with_paths();
  if (arguments.allow_path.empty()) return {};
  MOTE_TRY(Landlock rules, Landlock::create());
  MOTE_CHECK(allow_paths(rules, arguments.allow_path));
  if (arguments.metadata) MOTE_CHECK_WITHIN(rules.allow(*arguments.metadata), "--metadata");
  // What is not there will be missed when it is opened. A pipe among the standard streams needs no
  // rule and takes none.
  for (const char* path : {"/dev/kvm", "/dev/net/tun", "/dev/userfaultfd", "/proc/self/fd/0",
                           "/proc/self/fd/1", "/proc/self/fd/2"}) {
    (void)rules.allow(path);
  }
  return rules.enter();
}

Result<void> give_up_files(const std::vector<std::string>& allow_path,
                           const machine::VmConfig& config) {
  if (!has_file_rules()) return {};
  const std::vector<std::string> sockets = sockets_of(config);
  if (allow_path.empty() && sockets.empty()) return hold_thread();
  MOTE_TRY(Landlock rules, Landlock::create());
  MOTE_CHECK(allow_paths(rules, allow_path));
  for (const std::string& socket : sockets) {
    MOTE_CHECK(rules.allow(directory_of(socket), Reach::kUnlink));
  }
  return rules.enter();
}

Result<void> hold_thread() {
  return has_file_rules() ? the_rules_of_threads()->enter() : Result<void>{};
}

}  // namespace mote::vmm

// mote-jailer: Firecracker's jailer. It makes a jail and becomes the monitor in it.
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <span>

#include "base/standard_streams.h"
#include "isolation/jail/cleanup.h"
#include "isolation/jail/exec_file.h"
#include "isolation/jail/jail.h"
#include "programs/mote_jailer/arguments.h"

namespace mote::jailer {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitError = 1;

// The standard streams are all that a jailed process gets of its caller's descriptors.
Result<void> keep_standard_streams() {
  if (::close_range(STDERR_FILENO + 1, ~0U, 0) < 0) {
    return fail_errno(errno, "close the caller's descriptors");
  }
  return hold_standard_streams();
}

Result<void> remove_jail(const isolation::jail::Request& jail) {
  isolation::jail::CleanupRequest request{
      .id = jail.id, .base = jail.base, .exec_name = {}, .parent_cgroup = jail.parent_cgroup};
  if (!jail.exec_file.empty()) {
    MOTE_TRY(const auto monitor, isolation::jail::ExecFile::open(jail.exec_file));
    request.exec_name = monitor.name;
  }
  return isolation::jail::clean_up(request);
}

Result<void> start_jail(const isolation::jail::Request& jail,
                        const isolation::jail::StartTimes& started) {
  if (!jail.user_ns && ::geteuid() != 0) {
    return fail(
        ErrorKind::kPermission,
        "only root can make a jail; others can with --user-ns, in a directory of their own");
  }
  if (jail.user_ns && ::geteuid() == 0) {
    return fail(ErrorKind::kInvalid,
                "--user-ns is for those who are not root: root's jail would run as root outside");
  }
  return isolation::jail::start(jail, started);
}

Result<void> run(std::string_view argv0, std::span<const char* const> words,
                 const isolation::jail::StartTimes& started) {
  MOTE_TRY(const Arguments arguments, parse(words));
  if (arguments.help || arguments.version) {
    fmt::print("{}", arguments.help ? help(argv0) : version(argv0));
    return {};
  }
  MOTE_CHECK(keep_standard_streams());
  return arguments.cleanup ? remove_jail(arguments.jail) : start_jail(arguments.jail, started);
}

}  // namespace
}  // namespace mote::jailer

int main(int argc, char** argv) {
  const auto started = mote::isolation::jail::StartTimes::now();
  // A second thread has no need of a heap of its own, which takes it some calls to make.
  ::mallopt(M_ARENA_MAX, 1);
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  const auto done = words.empty() ? mote::jailer::run("", words, started)
                                  : mote::jailer::run(words.front(), words.subspan(1), started);
  if (done) return mote::jailer::kExitOk;
  fmt::print(stderr, "mote-jailer: {}\n", done.error().text());
  return mote::jailer::kExitError;
}

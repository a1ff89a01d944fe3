#include "isolation/jail/processes.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <span>

namespace mote::isolation::jail {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return fail_errno(errno, "make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::uint64_t cpu_since(std::uint64_t before) { return StartTimes::now().cpu - before; }

// Tells the jailer what went wrong, and ends this process without undoing what the jailer undoes.
[[noreturn]] void give_up(const UniqueFd& report, const Error& error) {
  const std::string text = error.text();
  (void)write_all(report.get(), std::as_bytes(std::span(text)));
  ::_exit(1);
}

Result<pid_t> fork_process() {
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "make the monitor's process");
  return child;
}

// Makes the process that becomes the monitor, which starts when its id has been written.
Result<void> make_monitor(bool new_pid_ns, const UniqueFd& pid_file, const UniqueFd& report,
                          std::uint64_t parents_cpu, Become& become) {
  if (new_pid_ns && ::unshare(CLONE_NEWPID) < 0) return fail_errno(errno, "make a pid namespace");
  MOTE_TRY(Pipe go, make_pipe());
  MOTE_TRY(const pid_t child, fork_process());
  if (child == 0) {
    go.write.reset();
    std::byte byte{};
    const auto got = read_some(go.read.get(), std::span(&byte, 1));
    if (got && *got == 1U) give_up(report, become(parents_cpu));
    ::_exit(1);  // its maker failed, and says why
  }
  MOTE_CHECK(write_pid(pid_file, child));
  const std::byte byte{};
  return write_all(go.write.get(), std::span(&byte, 1));
}

// A leader of a new session makes the monitor's process and ends: no terminal can become the
// monitor's.
[[noreturn]] void lead_session(bool new_pid_ns, const UniqueFd& pid_file, const UniqueFd& report,
                               std::uint64_t parents_cpu, Become& become) {
  if (::setsid() < 0) {
    give_up(report, Error(ErrorKind::kInternal, "make a session: " + errno_text(errno)));
  }
  auto made = make_monitor(new_pid_ns, pid_file, report, parents_cpu + cpu_since(0), become);
  if (!made) give_up(report, made.error());
  ::_exit(0);
}

}  // namespace

Result<void> write_pid(const UniqueFd& pid_file, pid_t pid) {
  const std::string text = fmt::format("{}", pid);
  MOTE_CHECK_WITHIN(write_all(pid_file.get(), std::as_bytes(std::span(text))),
                    "write the pid file");
  return {};
}

Result<void> detach(Detachment how, const UniqueFd& pid_file, std::uint64_t cpu_before,
                    Become become) {
  constexpr std::size_t kLongestReport = 64 << 10;
  MOTE_TRY(Pipe report, make_pipe());
  if (how.daemonize) {
    MOTE_TRY(const pid_t leader, fork_process());
    if (leader == 0) {
      lead_session(how.new_pid_ns, pid_file, report.write, cpu_since(cpu_before), become);
    }
    ::waitpid(leader, nullptr, 0);
  } else {
    MOTE_CHECK(make_monitor(how.new_pid_ns, pid_file, report.write, cpu_since(cpu_before), become));
  }
  // Closed by the exec that makes the monitor's process the monitor.
  report.write.reset();
  MOTE_TRY(const std::string problem, read_all(report.read.get(), kLongestReport));
  if (problem.empty()) return {};
  return fail(ErrorKind::kInternal, "{}", problem);
}

}  // namespace mote::isolation::jail

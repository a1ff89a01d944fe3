#include "engine/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/describe/class.hpp>
#include <cstring>

#include "base/json_describe.h"
#include "engine/child.h"

namespace mote::engine {

BOOST_DESCRIBE_STRUCT(EndReport, (), (reason, status, message))

namespace {

struct Pipe {
  UniqueFd reader;  // non-blocking
  UniqueFd writer;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "make a pipe");
  return pipe;
}

// In the child; never returns. Everything was allocated before the fork.
[[noreturn]] void become_monitor(pid_t parent, std::span<char* const> arguments, int messages,
                                 std::span<const int> inherited) {
  // A parent that ended before the first call is not heard of by it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(1);
  begin_session();
  bool ready = ::dup2(messages, STDERR_FILENO) >= 0;
  for (const int fd : inherited) ready = ready && ::fcntl(fd, F_SETFD, 0) == 0;
  if (ready) ::execv(arguments[0], arguments.data());
  ::dprintf(STDERR_FILENO, "mote-vmm: cannot start '%s': %s\n", arguments[0], ::strerror(errno));
  ::_exit(1);
}

}  // namespace

Result<EndReport> parse_end_report(std::string_view line) {
  return json::read<EndReport>(line, json::Path("the monitor's report"));
}

Result<UniqueFd> make_memory_file(const char* name, std::string_view content) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return fail_errno(errno, "make a file in memory");
  MOTE_CHECK_WITHIN(write_all(fd.get(), std::as_bytes(std::span(content))),
                    "make a file in memory");
  return fd;
}

std::string path_of(const UniqueFd& fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

Result<Monitor> Monitor::start(const MonitorPlan& plan) {
  MOTE_TRY(const UniqueFd config, make_memory_file("mote-config", plan.config));
  MOTE_TRY(Pipe console, make_pipe());
  MOTE_TRY(Pipe messages, make_pipe());
  MOTE_TRY(Pipe end, make_pipe());

  std::vector<int> inherited{config.get(), console.writer.get(), end.writer.get()};
  inherited.insert(inherited.end(), plan.descriptors.begin(), plan.descriptors.end());
  const std::vector<std::string> words{plan.program,
                                       "--no-api",
                                       "--config-file",
                                       path_of(config),
                                       "--level",
                                       "Error",
                                       "--exit-port",
                                       "--stdio-uart",
                                       "--die-with-parent",
                                       "--console-fd",
                                       fmt::format("{}", console.writer.get()),
                                       "--end-fd",
                                       fmt::format("{}", end.writer.get())};
  const std::vector<char*> arguments = argv_of(words);

  Monitor monitor;
  const pid_t self = ::getpid();
  monitor.pid_ = ::fork();
  if (monitor.pid_ < 0) return fail_errno(errno, "start mote-vmm");
  if (monitor.pid_ == 0) become_monitor(self, arguments, messages.writer.get(), inherited);
  monitor.process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, monitor.pid_, 0)));
  if (!monitor.process_) {
    const int code = errno;
    monitor.send(SIGKILL);
    return fail_errno(code, "watch mote-vmm");
  }
  monitor.console_ = std::move(console.reader);
  monitor.messages_ = std::move(messages.reader);
  monitor.end_ = std::move(end.reader);
  return monitor;
}

void Monitor::send(int signal) const { ::kill(pid_, signal); }

Result<int> Monitor::wait() const {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "wait for mote-vmm");
  }
  return status;
}

}  // namespace mote::engine

#include "vmm_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>

namespace mote::bare {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kEndFd = 9;  // its number in the monitor

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return fail_errno(errno, "pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// posix_spawn of the program as `arguments` say with its first descriptors as given (-1: none).
Result<pid_t> spawn(std::vector<std::string> arguments, int input, int output, int errors,
                    int end) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  if (end >= 0) ::posix_spawn_file_actions_adddup2(&actions, end, kEndFd);
  pid_t pid = -1;
  const int code =
      ::posix_spawn(&pid, vmm_program().c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return fail_errno(code, "run '{}'", vmm_program());
  return pid;
}

}  // namespace

std::string vmm_program() {
  const char* named = std::getenv("MOTE_VMM");
  return named != nullptr ? named : MOTE_VMM_PROGRAM;
}

std::string Ending::text() const {
  return status ? fmt::format("exit {}", *status) : fmt::format("signal {}", signal.value_or(0));
}

Result<VmmProcess> VmmProcess::start(const VmmOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> arguments{options.name};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  if (options.end_pipe) {
    arguments.insert(arguments.end(), {"--end-fd", std::to_string(kEndFd)});
  }
  MOTE_TRY(Pipe input, make_pipe());
  MOTE_TRY(Pipe output, make_pipe());
  MOTE_TRY(Pipe errors, make_pipe());
  MOTE_TRY(Pipe end, make_pipe());
  const bool terminal = options.terminal >= 0;
  VmmProcess process;
  MOTE_TRY(process.pid_,
           spawn(std::move(arguments), terminal ? options.terminal : input.read_end.get(),
                 terminal ? options.terminal : output.write_end.get(), errors.write_end.get(),
                 options.end_pipe ? end.write_end.get() : -1));
  process.input_ = std::move(input.write_end);
  process.output_fd_ = std::move(output.read_end);
  process.errors_fd_ = std::move(errors.read_end);
  process.end_fd_ = std::move(end.read_end);
  return process;
}

VmmProcess::VmmProcess(VmmProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      input_(std::move(other.input_)),
      output_fd_(std::move(other.output_fd_)),
      errors_fd_(std::move(other.errors_fd_)),
      end_fd_(std::move(other.end_fd_)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)),
      end_report_(std::move(other.end_report_)) {}

VmmProcess::~VmmProcess() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

Result<void> VmmProcess::send(std::string_view bytes) {
  return write_all(input_.get(), std::as_bytes(std::span(bytes)));
}

void VmmProcess::signal(int number) const { ::kill(pid_, number); }

void VmmProcess::read_available(UniqueFd& fd, std::string& text) {
  std::array<std::byte, 4096> buffer;
  const auto got = read_some(fd.get(), buffer);
  if (!got || !*got) return;
  if (**got == 0) return fd.reset();
  text.append(reinterpret_cast<const char*>(buffer.data()), **got);
}

bool VmmProcess::pump(Deadline deadline) {
  const std::array<std::pair<UniqueFd*, std::string*>, 3> streams{
      {{&output_fd_, &output_}, {&errors_fd_, &errors_}, {&end_fd_, &end_report_}}};
  std::array<pollfd, 3> polled{};
  bool open = false;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    polled[i] = {.fd = streams[i].first->get(), .events = POLLIN, .revents = 0};
    open = open || *streams[i].first;
  }
  const auto left = duration_cast<milliseconds>(deadline - steady_clock::now()).count();
  if (!open || left <= 0) return false;
  if (::poll(polled.data(), polled.size(), static_cast<int>(left)) < 0) return errno == EINTR;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (polled[i].revents != 0) read_available(*streams[i].first, *streams[i].second);
  }
  return true;
}

bool VmmProcess::wait_for_output(std::string_view text, std::chrono::seconds limit) {
  const Deadline deadline = steady_clock::now() + limit;
  while (!output_.contains(text)) {
    if (!pump(deadline)) return false;
  }
  return true;
}

std::optional<Ending> VmmProcess::finish(std::chrono::seconds limit) {
  const Deadline deadline = steady_clock::now() + limit;
  while (pump(deadline)) {
  }
  int status = 0;
  rusage usage{};
  // The streams end just before the process does; a process that closed them and lives on is late.
  while (::wait4(pid_, &status, WNOHANG, &usage) == 0) {
    if (steady_clock::now() > deadline) return std::nullopt;
    std::this_thread::sleep_for(milliseconds(1));
  }
  pid_ = -1;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  Ending ending{.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime)};
  if (WIFSIGNALED(status)) {
    ending.signal = WTERMSIG(status);
  } else {
    ending.status = WEXITSTATUS(status);
  }
  return ending;
}

}  // namespace mote::bare

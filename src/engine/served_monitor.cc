#include "engine/served_monitor.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/json.h"
#include "base/unique_fd.h"
#include "engine/api_client.h"
#include "engine/child.h"

namespace mote::engine {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kPause{1};

// In the child; never returns. Everything was allocated before the fork.
[[noreturn]] void become(char* const* words, int input, int output) {
  begin_session();
  const bool ready = ::dup2(input, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
                     ::dup2(output, STDERR_FILENO) >= 0;
  if (ready) ::execv(words[0], words);
  ::_exit(127);
}

}  // namespace

Result<pid_t> start_served(const ServedPlan& plan) {
  MOTE_TRY(const UniqueFd input, open_file("/dev/null", O_RDONLY));
  MOTE_TRY(const UniqueFd output,
           plan.output.empty() ? open_file("/dev/null", O_WRONLY)
                               : open_file(plan.output, O_WRONLY | O_CREAT | O_APPEND, 0600));
  std::vector<std::string> words{plan.program, "--api-sock", plan.socket, "--level", "Error"};
  words.insert(words.end(), plan.flags.begin(), plan.flags.end());
  const std::vector<char*> arguments = argv_of(words);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "start mote-vmm");
  if (pid == 0) become(arguments.data(), input.get(), output.get());
  return pid;
}

Result<void> await_served(pid_t pid, const ServedPlan& plan) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    if (::access(plan.socket.c_str(), F_OK) == 0) {
      // Not one of those that are answered while the machine thread is busy.
      const auto answer =
          ask({.socket = plan.socket, .method = "GET", .path = "/machine-config", .body = {}});
      if (answer && answer->status == 200) return {};
    }
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      return fail(ErrorKind::kIo, "the monitor at {} has ended before it was asked anything{}",
                  json::quote(plan.socket),
                  plan.output.empty() ? "" : fmt::format("; {} has what it said", plan.output));
    }
    if (std::chrono::steady_clock::now() >= end) {
      return fail(ErrorKind::kIo, "the monitor at {} does not answer", json::quote(plan.socket));
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace mote::engine

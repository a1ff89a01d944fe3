#include "engine/served_monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "base/json.h"
#include "engine/api_client.h"
#include "engine/child.h"
#include "engine/tail_buffer.h"
#include "engine/zygote.h"

namespace mote::engine {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr int kPauseMs = 1;
constexpr std::size_t kTail = 4096;  // bytes of what it printed, in which its last words are

// In the child; never returns. Everything was allocated before the fork.
[[noreturn]] void become(char* const* words, int input, int output) {
  begin_session();
  const bool ready = ::dup2(input, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0 &&
                     ::dup2(output, STDERR_FILENO) >= 0;
  if (ready) ::execv(words[0], words);
  ::_exit(127);
}

struct Streams {
  UniqueFd input;
  UniqueFd output;
};

Result<Streams> open_streams(const ServedPlan& plan) {
  Streams streams;
  MOTE_TRY(streams.input, open_file("/dev/null", O_RDONLY));
  MOTE_TRY(streams.output, plan.output.empty()
                               ? open_file("/dev/null", O_WRONLY)
                               : open_file(plan.output, O_WRONLY | O_CREAT | O_APPEND, 0600));
  return streams;
}

// What follows the program's name.
std::vector<std::string> words_of(const ServedPlan& plan) {
  std::vector<std::string> words{"--api-sock", plan.socket, "--level", "Error"};
  words.insert(words.end(), plan.flags.begin(), plan.flags.end());
  return words;
}

// Why it has ended, as the end of a message; empty: it did not say, or nobody has it.
std::string last_words(const ServedPlan& plan) {
  if (plan.output.empty()) return {};
  const auto file = open_file(plan.output, O_RDONLY);
  if (!file) return {};
  const off_t size = ::lseek(file->get(), 0, SEEK_END);
  std::array<std::byte, kTail> end;
  const auto from = size > static_cast<off_t>(kTail) ? size - static_cast<off_t>(kTail) : 0;
  const auto read = read_at(file->get(), end, static_cast<std::uint64_t>(from));
  if (!read) return {};
  TailBuffer tail(kTail);
  tail.append(std::span(end).first(*read));
  constexpr std::string_view kSays = "mote-vmm: ";
  const auto lines = tail.lines_with(kSays);
  return lines.empty() ? std::string() : fmt::format(": {}", lines.back().substr(kSays.size()));
}

}  // namespace

Result<UniqueFd> start_served(const ServedPlan& plan) {
  MOTE_TRY(const Streams streams, open_streams(plan));
  std::vector<std::string> words = words_of(plan);
  words.insert(words.begin(), plan.program);
  const std::vector<char*> arguments = argv_of(words);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "start mote-vmm");
  if (pid == 0) become(arguments.data(), streams.input.get(), streams.output.get());
  UniqueFd monitor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (monitor) return monitor;
  const int why = errno;
  ::kill(pid, SIGKILL);
  return fail_errno(why, "have a descriptor of mote-vmm's process");
}

Result<UniqueFd> start_served(const ServedPlan& plan, Zygote& zygote) {
  MOTE_TRY(const Streams streams, open_streams(plan));
  return zygote.make_monitor(words_of(plan), streams.input, streams.output);
}

bool has_ended(const UniqueFd& monitor, int timeout_ms) {
  pollfd end{.fd = monitor.get(), .events = POLLIN, .revents = 0};
  return ::poll(&end, 1, timeout_ms) > 0;
}

Result<void> await_served(const UniqueFd& monitor, const ServedPlan& plan) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  do {
    if (::access(plan.socket.c_str(), F_OK) == 0) {
      // Not one of those that are answered while the machine thread is busy.
      const auto answer =
          ask({.socket = plan.socket, .method = "GET", .path = "/machine-config", .body = {}});
      if (answer && answer->status == 200) return {};
    }
    if (has_ended(monitor, kPauseMs)) {
      return fail(ErrorKind::kIo, "the monitor at {} has ended{}", json::quote(plan.socket),
                  last_words(plan));
    }
  } while (std::chrono::steady_clock::now() < end);
  return fail(ErrorKind::kIo, "the monitor at {} does not answer", json::quote(plan.socket));
}

void end_served(const UniqueFd& monitor, const std::string& socket) {
  ::syscall(SYS_pidfd_send_signal, monitor.get(), SIGKILL, nullptr, 0);
  ::unlink(socket.c_str());
}

}  // namespace mote::engine

#include "engine/session.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace mote::engine {
namespace {

constexpr std::array kSignals{SIGTERM, SIGINT, SIGHUP};
constexpr std::size_t kConsoleLines = 30;
constexpr std::string_view kInitPrefix = "mote-init: ";
constexpr std::string_view kMonitorPrefix = "mote-vmm: ";
constexpr int kStatusNotFound = 127;

sigset_t session_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kSignals) ::sigaddset(&set, signal);
  return set;
}

// Gives what is there to `take`, until nothing is or the stream ends.
template <typename Take>
void drain(int fd, Take take) {
  std::array<std::byte, 4096> buffer{};
  for (;;) {
    const auto count = read_some(fd, buffer);
    if (!count || !*count || **count == 0) return;
    take(std::span<const std::byte>(buffer).first(**count));
  }
}

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

// Why there is no status of a command, in words.
std::string reason_of(const EndReport& end) {
  if (end.reason == "reset") return "the guest reset the machine, as a kernel that panics does";
  if (end.reason == "shutdown") return "the guest switched the machine off";
  if (end.reason == "triple-fault") return "the guest crashed with a triple fault";
  return end.message.empty() ? end.reason : end.message;
}

std::string reason_of(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return fmt::format("mote-vmm was killed by {}", signal_name(WTERMSIG(wait_status)));
  }
  return fmt::format("mote-vmm ended with status {}", WEXITSTATUS(wait_status));
}

Outcome lost(std::string reason, const TailBuffer& console) {
  Outcome outcome{.status = kStatusLost, .signal = {}, .messages = {}};
  outcome.messages.push_back("mote: the microVM ended before its command: " + std::move(reason));
  const auto lines = console.last_lines(kConsoleLines);
  if (!lines.empty()) outcome.messages.emplace_back("mote: the guest's console ended with:");
  for (const std::string& line : lines) outcome.messages.push_back("  " + line);
  return outcome;
}

}  // namespace

Outcome judge(const Ending& ending, const TailBuffer& console, const TailBuffer& monitor) {
  const auto end = parse_end_report(ending.report);
  if (end && end->reason == "exit-port" && end->status <= UINT8_MAX) {
    Outcome outcome{.status = static_cast<int>(end->status), .signal = {}, .messages = {}};
    // Why mote-init gave its own status, which it has said on the console.
    const bool by_init = outcome.status >= kStatusLost && outcome.status <= kStatusNotFound;
    if (by_init) outcome.messages = console.lines_with(kInitPrefix);
    return outcome;
  }
  if (ending.asked_by_signal)
    return {.status = 0, .signal = ending.asked_by_signal, .messages = {}};
  // Whoever reads the output went away.
  if (WIFSIGNALED(ending.wait_status) && WTERMSIG(ending.wait_status) == SIGPIPE) {
    return {.status = 0, .signal = SIGPIPE, .messages = {}};
  }
  if (end) return lost(reason_of(*end), console);
  const auto refusals = monitor.lines_with(kMonitorPrefix);
  if (refusals.empty()) return lost(reason_of(ending.wait_status), console);
  // There was no microVM.
  Outcome outcome{.status = kStatusLost, .signal = {}, .messages = {}};
  outcome.messages.push_back("mote: " + refusals.back().substr(kMonitorPrefix.size()));
  return outcome;
}

void block_session_signals() {
  const sigset_t set = session_signals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

Result<Outcome> Session::run(const Monitor& monitor, bool show_console) {
  MOTE_TRY(const auto loop, EventLoop::create());
  Session session(*loop, monitor, show_console);
  MOTE_CHECK(session.watch_all());
  MOTE_CHECK(loop->run());
  MOTE_TRY(session.ending_.wait_status, monitor.wait());
  session.take_console();
  session.take_messages();
  session.take_report();
  return judge(session.ending_, session.console_, session.messages_);
}

Result<void> Session::watch_all() {
  MOTE_CHECK(watch_signals());
  const auto add = [this](int fd, EventLoop::Handler handler) -> Result<void> {
    MOTE_TRY(auto watch, loop_.watch(fd, EPOLLIN, std::move(handler)));
    watches_.push_back(std::move(watch));
    return {};
  };
  MOTE_CHECK(add(monitor_.process_fd(), [this](std::uint32_t) { loop_.stop(); }));
  MOTE_CHECK(add(monitor_.console_fd(), [this](std::uint32_t) { take_console(); }));
  return add(monitor_.messages_fd(), [this](std::uint32_t) { take_messages(); });
}

Result<void> Session::watch_signals() {
  const sigset_t set = session_signals();
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno(errno, "create a descriptor for signals");
  MOTE_TRY(auto watch, loop_.watch(signals_.get(), EPOLLIN, [this](std::uint32_t) {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      take_signal(static_cast<int>(info.ssi_signo));
    }
  }));
  watches_.push_back(std::move(watch));
  return {};
}

void Session::take_signal(int signal) {
  ending_.asked_by_signal = signal;
  monitor_.send(SIGTERM);
}

void Session::take_console() {
  drain(monitor_.console_fd(), [this](std::span<const std::byte> bytes) {
    // What is shown as it comes is not told again. That nobody may read it is no reason to stop.
    if (!show_console_) return console_.append(bytes);
    static_cast<void>(write_all(STDERR_FILENO, bytes));
  });
}

void Session::take_messages() {
  drain(monitor_.messages_fd(),
        [this](std::span<const std::byte> bytes) { messages_.append(bytes); });
}

void Session::take_report() {
  drain(monitor_.end_fd(), [this](std::span<const std::byte> bytes) {
    ending_.report.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
}

}  // namespace mote::engine

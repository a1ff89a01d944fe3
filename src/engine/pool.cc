#include "engine/pool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/unique_fd.h"
#include "engine/api_client.h"
#include "engine/places.h"
#include "engine/served_monitor.h"

namespace mote::engine {
namespace {

constexpr std::string_view kReady = "shell-";
constexpr std::string_view kSuffix = ".sock";

Result<std::vector<std::string>> ready_shells(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (name.starts_with(kReady) && name.ends_with(kSuffix)) {
      names.push_back(entries->path().string());
    }
  }
  if (error) return fail_errno(error.value(), "look into the pool {}", json::quote(directory));
  return names;
}

// One that was started, and where it was found.
struct Shell {
  UniqueFd monitor;
  std::string socket;
};

class Pool {
 public:
  static Result<Pool> create(const PoolOptions& options) {
    Pool pool(options);
    if (::mkdir(options.directory.c_str(), 0700) < 0 && errno != EEXIST) {
      return fail_errno(errno, "make the directory {}", json::quote(options.directory));
    }
    MOTE_TRY(pool.program_, sibling_program("mote-vmm"));
    pool.changes_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!pool.changes_ || ::inotify_add_watch(pool.changes_.get(), options.directory.c_str(),
                                              IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0) {
      return fail_errno(errno, "watch {}", json::quote(options.directory));
    }
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    pool.signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!pool.signals_) return fail_errno(errno, "take signals");
    // Where it is ignored, nobody is told.
    ::signal(SIGCHLD, SIG_DFL);
    MOTE_CHECK(pool.forget_the_dead());
    return pool;
  }

  Result<void> run() {
    Result<void> filled = {};
    while (!ended_) {
      filled = fill();
      if (!filled) break;
      await();
    }
    end_shells();
    return filled;
  }

 private:
  explicit Pool(const PoolOptions& options) : options_(options) {}

  // What a pool before this one left, and nobody serves any more.
  Result<void> forget_the_dead() const {
    MOTE_TRY(const auto shells, ready_shells(options_.directory));
    for (const std::string& socket : shells) {
      if (is_deserted(socket)) ::unlink(socket.c_str());
    }
    return {};
  }
  Result<void> fill() {
    while (!ended_) {
      MOTE_TRY(const auto shells, ready_shells(options_.directory));
      if (shells.size() >= options_.count) break;
      MOTE_CHECK(start_one());
      look_at_signals();
    }
    return {};
  }
  // It is found under its name when it can be used.
  Result<void> start_one() {
    const std::string name = fmt::format("{}-{}{}", ::getpid(), ++started_, kSuffix);
    const ServedPlan plan{
        .program = program_,
        .socket = fmt::format("{}/.{}", options_.directory, name),
        .output = fmt::format("{}/log", options_.directory),
        .flags = {"--shell", "--shell-vcpu-count", fmt::format("{}", options_.vcpus),
                  "--shell-mem-size-mib", fmt::format("{}", options_.mem_size_mib)}};
    MOTE_TRY(UniqueFd monitor, start_served(plan));
    const std::string ready = fmt::format("{}/{}{}", options_.directory, kReady, name);
    auto usable = await_served(monitor, plan);
    if (usable && ::rename(plan.socket.c_str(), ready.c_str()) == 0) {
      shells_.push_back({.monitor = std::move(monitor), .socket = ready});
      return {};
    }
    if (usable) usable = fail_errno(errno, "name the socket {}", json::quote(ready));
    end_served(monitor, plan.socket);
    return usable;
  }
  void await() {
    std::array<pollfd, 2> events{pollfd{.fd = changes_.get(), .events = POLLIN, .revents = 0},
                                 pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0}};
    ::poll(events.data(), events.size(), -1);
    std::array<std::byte, 4096> ignored;
    static_cast<void>(read_some(changes_.get(), ignored));
    look_at_signals();
  }
  void look_at_signals() {
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo != SIGCHLD) ended_ = true;
    }
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    std::erase_if(shells_, [](const Shell& shell) {
      if (!has_ended(shell.monitor)) return false;
      // Taken: its socket is elsewhere, and its owner's.
      ::unlink(shell.socket.c_str());
      return true;
    });
  }
  // Each is taken before it is ended, so that nobody else has it.
  void end_shells() const {
    for (const Shell& shell : shells_) {
      const std::string mine = shell.socket + ".ending";
      if (::rename(shell.socket.c_str(), mine.c_str()) == 0) end_served(shell.monitor, mine);
    }
  }

  PoolOptions options_;
  std::string program_;
  UniqueFd changes_;
  UniqueFd signals_;
  std::vector<Shell> shells_;
  unsigned started_ = 0;
  bool ended_ = false;
};

}  // namespace

Result<void> keep_pool(const PoolOptions& options) {
  MOTE_TRY(Pool pool, Pool::create(options));
  return pool.run();
}

Result<std::optional<std::string>> take_shell(const std::string& directory,
                                              const std::string& socket) {
  MOTE_TRY(const auto shells, ready_shells(directory));
  for (const std::string& ready : shells) {
    if (::rename(ready.c_str(), socket.c_str()) == 0) {
      if (!is_deserted(socket)) return ready;
      // A pool that was killed has left it.
      ::unlink(socket.c_str());
    } else if (errno != ENOENT) {  // otherwise another has it
      return fail_errno(errno, "move the shell {} to {}", json::quote(ready), json::quote(socket));
    }
  }
  return std::nullopt;
}

}  // namespace mote::engine

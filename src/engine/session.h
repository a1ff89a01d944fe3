// Session watches over one monitor until it ends: console, messages, signals. What came of it is an
// Outcome.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "engine/monitor.h"
#include "engine/tail_buffer.h"

namespace mote::engine {

// Statuses of `mote run` that are not the command's; 126 and 127 come from mote-init.
inline constexpr int kStatusLost = 125;

// What `mote run` ends with.
struct Outcome {
  int status = 0;
  std::optional<int> signal;          // to end by, instead
  std::vector<std::string> messages;  // for standard error
};

// What is known when the monitor's process has ended.
struct Ending {
  int wait_status = 0;                 // as of waitpid(2)
  std::string report;                  // the line from its end descriptor; empty: none came
  std::optional<int> asked_by_signal;  // that this process got, and stopped the monitor for
};
// `console` is the guest's, `monitor` what mote-vmm printed.
Outcome judge(const Ending& ending, const TailBuffer& console, const TailBuffer& monitor);

class Session {
 public:
  // `signals` are blocked in this thread. With `show_console`, the console goes to standard error
  // as it comes.
  static Result<Outcome> run(const Monitor& monitor, bool show_console);

 private:
  Session(EventLoop& loop, const Monitor& monitor, bool show_console)
      : loop_(loop), monitor_(monitor), show_console_(show_console) {}

  Result<void> watch_all();
  Result<void> watch_signals();
  void take_signal(int signal);
  void take_console();
  void take_messages();
  void take_report();

  EventLoop& loop_;
  const Monitor& monitor_;
  const bool show_console_;
  UniqueFd signals_;
  std::vector<EventLoop::Watch> watches_;
  TailBuffer console_{std::size_t{64} << 10};
  TailBuffer messages_{std::size_t{16} << 10};
  Ending ending_;
};

// Blocks the signals that a Session takes, until the end of the process. Before Monitor::start().
void block_session_signals();

}  // namespace mote::engine

// Monitor is a running mote-vmm: its process, what it says, and how it ends.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::engine {

// What a monitor is started with. Its standard input and output are this process's own.
struct MonitorPlan {
  std::string program;
  std::string config;            // JSON
  std::vector<int> descriptors;  // that the configuration names, by number
};

// How a microVM ended, as mote-vmm reports it.
struct EndReport {
  std::string reason;  // exit-port, reset, shutdown, triple-fault, error, signal
  std::uint64_t status = 0;
  std::string message;
};
// Reads the report's line of JSON. Errors: it is none.
Result<EndReport> parse_end_report(std::string_view line);

class Monitor {
 public:
  // Starts mote-vmm in a session of its own, out of reach of the terminal's signals. It is killed
  // when this process ends, however it does.
  static Result<Monitor> start(const MonitorPlan& plan);

  // Readable once the process has ended.
  int process_fd() const { return process_.get(); }
  // Read ends of pipes, non-blocking: what the guest's console prints, what the monitor itself
  // prints, and its end report.
  int console_fd() const { return console_.get(); }
  int messages_fd() const { return messages_.get(); }
  int end_fd() const { return end_.get(); }

  void send(int signal) const;
  // Waits for the process's end: its status as of waitpid(2).
  Result<int> wait() const;

 private:
  Monitor() = default;

  pid_t pid_ = -1;
  UniqueFd process_;
  UniqueFd console_;
  UniqueFd messages_;
  UniqueFd end_;
};

// A memfd with `content`, to be read by its number.
Result<UniqueFd> make_memory_file(const char* name, std::string_view content);
// How another process that has `fd` open under the same number opens the file again.
std::string path_of(const UniqueFd& fd);

}  // namespace mote::engine

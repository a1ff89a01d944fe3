// VmmProcess is a mote-vmm run as a user would run it: with a configuration file, its standard
// streams at the test's hands.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::bare {

// The program: $MOTE_VMM, or the one that was built with the tests.
std::string vmm_program();

// How a process ended.
struct Ending {
  std::optional<int> status = {};  // of exit
  std::optional<int> signal = {};  // that ended it
  double cpu_seconds = 0;          // user and system, of its whole life

  // "exit 3" or "signal 15"
  std::string text() const;
};

struct VmmOptions {
  std::string name = "mote-vmm";            // under which it is started
  std::vector<std::string> arguments = {};  // after that
  bool end_pipe = false;                    // adds --end-fd with a pipe, read through end_report()
  int terminal = -1;                        // stdin and stdout are this descriptor, not pipes
};

class VmmProcess {
 public:
  static Result<VmmProcess> start(const VmmOptions& options);
  VmmProcess(VmmProcess&& other) noexcept;
  VmmProcess& operator=(VmmProcess&&) = delete;
  VmmProcess(const VmmProcess&) = delete;
  // Kills what still runs.
  ~VmmProcess();

  pid_t pid() const { return pid_; }
  // What came on each stream so far.
  const std::string& output() const { return output_; }
  const std::string& errors() const { return errors_; }
  const std::string& end_report() const { return end_report_; }

  // Bytes for its stdin; and the end of it.
  Result<void> send(std::string_view bytes);
  void close_input() { input_.reset(); }

  // Reads until `text` stands in output(); false when the time is up or the process closed its
  // streams.
  bool wait_for_output(std::string_view text, std::chrono::seconds limit = kPatience);
  // Sends the signal.
  void signal(int number) const;
  // Reads all streams to their end and reaps the process; nullopt when the time is up (it is killed
  // then).
  std::optional<Ending> finish(std::chrono::seconds limit = kPatience);

  // Generous: a sanitised monitor on a busy machine, in an emulated one.
  static constexpr std::chrono::seconds kPatience{60};

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  VmmProcess() = default;
  // Waits for bytes on any stream and appends them; false when all have ended or the deadline is
  // past.
  bool pump(Deadline deadline);
  static void read_available(UniqueFd& fd, std::string& text);

  pid_t pid_ = -1;
  UniqueFd input_;
  UniqueFd output_fd_;
  UniqueFd errors_fd_;
  UniqueFd end_fd_;
  std::string output_;
  std::string errors_;
  std::string end_report_;
};

}  // namespace mote::bare

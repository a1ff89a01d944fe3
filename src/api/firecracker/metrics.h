// The metrics of a monitor, as Firecracker's `metrics` section, its PUT /metrics and mote-vmm's
// --metrics-path describe them: a file that gets a line of JSON when the machine starts, each
// minute, when a client asks, and at the end; and all counters, for who asks for them.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/firecracker/metrics/collect.h"
#include "api/firecracker/metrics/config.h"
#include "api/firecracker/metrics/file.h"
#include "api/firecracker/metrics/line.h"
#include "api/firecracker/process_metrics.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "machine/metrics.h"

namespace mote::api::firecracker {

// Belongs to the machine thread, but for what it says of others.
class Metrics {
 public:
  static constexpr std::chrono::nanoseconds kPeriod = std::chrono::minutes(1);
  // Adds what a machine has counted up to now, as Machine::count() does.
  using CountMachine = std::function<void(machine::MachineCounts&)>;

  // `id`: of the microVM.
  explicit Metrics(std::string id) : id_(std::move(id)) {}
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Whoever does what is counted adds to these, from any thread.
  ProcessMetrics counts;

  // Opens the file. Errors: it cannot be opened; kState: there is one already.
  Result<void> open(const MetricsConfig& config);
  bool is_open() const { return output_.has_value(); }

  // The machine has started: its counters are among the others from now on. Where there is a file,
  // the first line is written, and `loop`, which outlives this, has one written each `period`.
  Result<void> start(EventLoop& loop, CountMachine machine,
                     std::chrono::nanoseconds period = kPeriod);
  // The last line; the machine and the loop are not looked at any more.
  void stop();

  // Writes a line, where there is a file. One that the file does not take is counted, and what it
  // had to say is in the next.
  void flush();
  // The same from a signal's handler, on any thread, as the last thing that is done. `more`:
  // further members of the line's object, a comma behind each.
  void flush_at_fault(std::string_view more = {});

  // All counters since the start of the process, also those of mote's own, as JSON. Flushing and
  // asking do not disturb each other.
  std::string report() const;

 private:
  struct Output {
    MetricsFile file;
    std::string extra;  // members of each line
    LineBuffer line;
    Baselines baselines;
    EventLoop::Timer timer;
  };
  void write(bool fatal, std::string_view more = {});
  machine::MachineCounts machine_counts() const;

  const std::string id_;
  OutputMetrics output_counts_;
  std::optional<Output> output_;
  CountMachine machine_;
};

}  // namespace mote::api::firecracker

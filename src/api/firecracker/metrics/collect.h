// The order of Firecracker's metrics: every group, whether what it counts is there or not, and of
// devices that there may be several of one group each, by their ids, and one for all.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "api/firecracker/metrics/fields.h"
#include "api/firecracker/process_metrics.h"
#include "machine/metrics.h"

namespace mote::api::firecracker {

// What the metrics' file and the log count of themselves.
struct OutputMetrics {
  Counter missed_metrics_count;  // lines of metrics that their file did not take
  Counter metrics_fails;         // lines that could not be made
};
BOOST_DESCRIBE_STRUCT(OutputMetrics, (), (missed_metrics_count, metrics_fails))

// What there is to print.
struct MetricsSources {
  const ProcessMetrics& process;
  const OutputMetrics& output;
  const machine::MachineCounts& machine;
};

struct GroupNumbers {
  std::string_view name;
  std::string_view id = {};      // of the device; the group is called NAME_ID then
  const void* source = nullptr;  // tells what counted from all else that does; null: a sum
  std::span<const Field> fields = {};
  std::span<const std::uint64_t> numbers = {};
  std::span<const OwnNumber> own = {};  // where wants_own()
};

class GroupSink {
 public:
  virtual ~GroupSink() = default;
  // Takes a group, and returns the numbers that it made of it: what the sum over several devices is
  // made of. They are good until the next call.
  virtual std::span<const std::uint64_t> take(const GroupNumbers& group) = 0;
  // Whether it wants numbers of mote's own too. They cost allocations, as nothing else here does.
  virtual bool wants_own() const { return false; }
};

void collect(const MetricsSources& sources, GroupSink& sink);

}  // namespace mote::api::firecracker

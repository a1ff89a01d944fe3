#include "api/firecracker/metrics.h"

#include <ctime>

namespace mote::api::firecracker {
namespace {

// More than the longest line, but for what users name: kMaxDevices network devices, and numbers of
// 20 digits.
constexpr std::size_t kLineCapacity = std::size_t{64} << 10;

// Bytes of the ids, where each character has to be escaped.
std::size_t size_of_ids(const machine::MachineCounts& machine) {
  std::size_t size = 0;
  for (const machine::DeviceCounts& device : machine.devices()) size += 6 * device.id.size();
  return size;
}

std::uint64_t utc_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

// The members `id` and `properties` of each line, as far as they are wanted.
std::string extra_members(const MetricsConfig& config, std::string_view id) {
  json::Writer writer;
  writer.begin_object();
  if (config.emit_id) {
    writer.key("id");
    writer.string(id);
  }
  if (config.properties && !config.properties->is_null()) {
    writer.key("properties");
    writer.value(*config.properties);
  }
  writer.end_object();
  std::string text = std::move(writer).take();
  text = text.substr(1, text.size() - 2);
  if (!text.empty()) text += ',';
  return text;
}

// All counters as they are, as JSON.
class ReportSink final : public GroupSink {
 public:
  ReportSink() { writer_.begin_object(); }

  std::span<const std::uint64_t> take(const GroupNumbers& group) override {
    writer_.key(group.id.empty() ? std::string(group.name)
                                 : fmt::format("{}_{}", group.name, group.id));
    writer_.begin_object();
    std::string_view outer;
    for (std::size_t i = 0; i < group.fields.size(); ++i) {
      number(outer, group.fields[i], group.numbers[i]);
    }
    for (const OwnNumber& own : group.own) number(outer, own.field, own.value);
    if (!outer.empty()) writer_.end_object();
    writer_.end_object();
    return group.numbers;
  }
  bool wants_own() const override { return true; }
  json::Writer& writer() { return writer_; }
  std::string text() && {
    writer_.end_object();
    return std::move(writer_).take();
  }

 private:
  void number(std::string_view& outer, const Field& field, std::uint64_t value) {
    if (!outer.empty() && field.outer != outer) writer_.end_object();
    if (!field.outer.empty() && field.outer != outer) {
      writer_.key(field.outer);
      writer_.begin_object();
    }
    outer = field.outer;
    writer_.key(field.name);
    writer_.integer(value);
  }

  json::Writer writer_;
};

}  // namespace

Result<void> Metrics::open(const MetricsConfig& config) {
  MOTE_CHECK(check(config));
  if (output_) {
    return fail(ErrorKind::kState,
                "metrics_path is {}, and the metrics have a file already; it stays the same until "
                "the monitor ends",
                json::quote(config.metrics_path));
  }
  auto file = MetricsFile::open(config.metrics_path);
  if (!file) return std::unexpected(std::move(file.error()).within("metrics_path"));
  std::string extra = extra_members(config, id_);
  const std::size_t capacity = kLineCapacity + extra.size();
  output_.emplace(Output{.file = std::move(*file),
                         .extra = std::move(extra),
                         .line = LineBuffer(capacity),
                         .baselines = {},
                         .timer = {}});
  return {};
}

Result<void> Metrics::start(EventLoop& loop, CountMachine machine,
                            std::chrono::nanoseconds period) {
  machine_ = std::move(machine);
  if (!output_) return {};
  flush();
  MOTE_TRY(output_->timer, loop.timer([this] { flush(); }));
  return output_->timer.set_periodic(period);
}

void Metrics::stop() {
  if (!machine_) return;
  flush();
  if (output_) output_->timer = {};
  machine_ = nullptr;
}

machine::MachineCounts Metrics::machine_counts() const {
  machine::MachineCounts machine;
  if (machine_) machine_(machine);
  return machine;
}

void Metrics::write(bool fatal, std::string_view more) {
  if (!output_) return;
  const machine::MachineCounts machine = machine_counts();
  Output& to = *output_;
  const std::size_t size = kLineCapacity + to.extra.size() + size_of_ids(machine);
  if (size > to.line.capacity() && !fatal) to.line = LineBuffer(size);
  make_line({.process = counts, .output = output_counts_, .machine = machine}, utc_ms(),
            {to.extra, more}, to.baselines, fatal, to.line);
  if (to.line.overflow()) {
    ++output_counts_.metrics_fails;
  } else if (!to.file.write(to.line.text())) {
    ++output_counts_.missed_metrics_count;
  } else if (!fatal) {
    to.baselines.keep();
  }
}

void Metrics::flush() { write(/*fatal=*/false); }

void Metrics::flush_at_fault(std::string_view more) { write(/*fatal=*/true, more); }

std::string Metrics::report() const {
  const machine::MachineCounts machine = machine_counts();
  ReportSink sink;
  sink.writer().key("utc_timestamp_ms");
  sink.writer().integer(utc_ms());
  sink.writer().key("id");
  sink.writer().string(id_);
  collect({.process = counts, .output = output_counts_, .machine = machine}, sink);
  return std::move(sink).text();
}

}  // namespace mote::api::firecracker

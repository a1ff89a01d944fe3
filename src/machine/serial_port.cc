#include "machine/serial_port.h"

#include <sys/epoll.h>

namespace mote::machine {
namespace {

// For how long output may wait for more, to leave in one write: too short for a person to notice.
constexpr std::chrono::milliseconds kTick{5};
// After so many of these without output KVM need not take it any more.
constexpr unsigned kQuietTicks = 20;

}  // namespace

Result<std::unique_ptr<SerialPort>> SerialPort::create(const SerialSite& site,
                                                       const SerialLine& line,
                                                       std::function<void()> on_broken,
                                                       const devices::SerialState* state) {
  std::unique_ptr<SerialPort> port(new SerialPort(site, line, std::move(on_broken)));
  MOTE_CHECK(port->make_sink());
  if (state == nullptr) {
    port->chip_ = std::make_unique<devices::Serial>(port->wiring(site.interrupt));
  } else {
    MOTE_TRY(port->chip_, devices::Serial::restore(*state, port->wiring(site.interrupt)));
  }
  return port;
}

Result<void> SerialPort::make_sink() {
  if (line_.output < 0) {
    sink_ = std::make_unique<NullSink>();
    return {};
  }
  MOTE_TRY(FdSink sink, FdSink::create(line_.output));
  sink_ = std::make_unique<FdSink>(std::move(sink));
  if (const auto& limit = line_.limit) {
    auto limited = std::make_unique<LimitedSink>(std::move(sink_), limit->size, limit->refill_time,
                                                 limit->one_time_burst);
    limited_ = limited.get();
    sink_ = std::move(limited);
  }
  return {};
}

devices::SerialMetrics SerialPort::metrics() const {
  devices::SerialMetrics metrics = chip_->metrics();
  if (limited_ != nullptr) metrics.rate_limiter_dropped_bytes = limited_->dropped();
  return metrics;
}

devices::SerialWiring SerialPort::wiring(bus::Interrupt& interrupt) {
  return {
      .interrupt = interrupt,
      .sink = *sink_,
      .when_full = line_.flow_control ? devices::WhenFull::kWait : devices::WhenFull::kDrop,
      .windowed = line_.flow_control,
      .on_room =
          [this] {
            loop_.post([this] {
              if (input_) input_->room();
            });
          },
      .on_blocked = [this] { loop_.post([this] { wait_for_output(); }); },
      .on_hold = [this] { loop_.post([this] { begin_burst(); }); },
      .on_driven = [this] { stop_posting(); },
      .on_broken = on_broken_,
  };
}

void SerialPort::begin_burst() {
  if (!timer_) {
    auto timer = loop_.timer([this] { tick(); });
    if (timer) timer_ = std::move(*timer);
  }
  if (timer_ && timer_->set(kTick)) return;
  // Without a timer nothing is held for long either.
  while (chip_->release_output()) {
  }
}

void SerialPort::tick() {
  posted_.deliver();
  const bool busy = chip_->release_output();
  quiet_ticks_ = busy ? 0 : quiet_ticks_ + 1;
  if (!choose_posting() && !busy) return;
  if (timer_->set(kTick)) return;
  stop_posting();
  while (chip_->release_output()) {
  }
}

bool SerialPort::choose_posting() {
  const MutexLock lock(posting_mutex_);
  if (posting_ && quiet_ticks_ >= kQuietTicks) {
    posted_.end(port_);
    posting_ = false;
  } else if (!posting_ && quiet_ticks_ == 0 && !cannot_post_ && chip_->polls()) {
    posting_ = posted_.begin(port_).has_value();
    cannot_post_ = !posting_;
  }
  return posting_;
}

void SerialPort::stop_posting() {
  const MutexLock lock(posting_mutex_);
  if (posting_) posted_.end(port_);
  posting_ = false;
}

void SerialPort::start_input() {
  chip_->resume_output();  // what a restored port had not sent yet
  if (line_.input < 0) return;
  input_ = ConsoleInput::start(
      loop_, line_.input,
      {.feed = [this](std::span<const std::byte> bytes) { return chip_->feed(bytes); },
       .at_end = [this] { chip_->end_input(); }});
}

void SerialPort::wait_for_output() {
  auto watch = loop_.watch(line_.output, EPOLLOUT, [this](std::uint32_t) {
    output_watch_.cancel();
    chip_->resume_output();
  });
  // What cannot be watched never makes one wait.
  if (!watch) return chip_->resume_output();
  output_watch_ = std::move(*watch);
}

}  // namespace mote::machine

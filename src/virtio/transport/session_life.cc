#include <linux/virtio_config.h>

#include <algorithm>

#include "virtio/transport/session.h"
#include "virtio/transport/status.h"

namespace mote::virtio {

// The device's life, on the machine thread. The registers are in session.cc.

Session::Session(Parts parts, DeviceTraits traits, std::vector<UniqueFd> notify)
    : parts_(std::move(parts)),
      traits_(std::move(traits)),
      offered_(traits_.features | traits_.ring_features),
      notify_(std::move(notify)) {
  thread_.assert_held();
  parked_.resize(notify_.size());
  {
    MutexLock lock(mutex_);
    queues_.resize(notify_.size());
    clear_registers();
  }
  copy_config();
  parts_.device->set_config_listener(
      [this] {
        thread_.assert_held();
        config_changed();
      },
      [this] {
        thread_.assert_held();
        copy_config();
        parts_.interrupts->changed();
      });
  parts_.device->set_failure_listener([this](const Error& error) {
    thread_.assert_held();
    device_failed(error);
  });
}

Result<std::unique_ptr<Session>> Session::create(Parts parts) {
  DeviceTraits traits = parts.device->traits();
  std::vector<UniqueFd> notify;
  for (std::size_t i = 0; i < traits.queue_sizes.size(); ++i) {
    MOTE_TRY(UniqueFd fd, make_eventfd());
    notify.push_back(std::move(fd));
  }
  return std::unique_ptr<Session>(
      new Session(std::move(parts), std::move(traits), std::move(notify)));
}

Session::~Session() {
  thread_.assert_held();
  stop_queues();
  parts_.device->set_config_listener(nullptr);
  parts_.device->set_failure_listener(nullptr);
}

void Session::copy_config() {
  std::vector<std::byte> config(traits_.config_size);
  if (!config.empty()) parts_.device->read_config(0, config);
  MutexLock lock(mutex_);
  config_ = std::move(config);
}

QueueContext Session::context(std::uint16_t queue, std::uint64_t features) {
  return {.memory = parts_.memory,
          .host = this,
          .index = queue,
          .max_size = traits_.queue_sizes[queue],
          .features = features};
}

// Start, stop, reset
// ------------------------------------------------------------------------------------------------

bool Session::start_by_driver() {
  std::vector<QueueSetup> queues;
  std::uint64_t features = 0;
  {
    MutexLock lock(mutex_);
    // Another vCPU may have written the register since this start was asked for.
    if (status_step(status_, status_ | VIRTIO_CONFIG_S_DRIVER_OK) != StatusStep::kStart) {
      return refuse();
    }
    // From here on the queues' registers refuse changes.
    status_ |= VIRTIO_CONFIG_S_DRIVER_OK;
    queues = queues_;
    features = driver_features_;
  }
  running_ = true;
  if (auto started = start_queues(queues, features); !started) {
    report("could not start", started.error());
    stop_queues();
    {
      MutexLock lock(mutex_);
      ++metrics_.activate_fails;
    }
    needs_reset();
    return true;
  }
  kick_all();
  return true;
}

Result<void> Session::start_queues(const std::vector<QueueSetup>& queues, std::uint64_t features) {
  for (std::uint16_t i = 0; i < queue_count(); ++i) {
    if (!queues[i].ready) continue;
    MOTE_TRY(Queue queue, Queue::create(context(i, features), queues[i].addresses));
    if (paused_) {
      // Started while the machine is on its way into a pause: resume() hands it over.
      parked_[i] = std::move(queue);
    } else {
      MOTE_CHECK(parts_.device->start(i, std::move(queue)));
    }
  }
  return {};
}

void Session::stop_queues() {
  for (std::uint16_t i = 0; i < queue_count(); ++i) {
    parked_[i].reset();
    static_cast<void>(take_back(i));
  }
}

std::optional<Queue> Session::take_back(std::uint16_t index) {
  auto queue = parts_.device->stop(index);
  if (queue && queue->in_flight() > 0) {
    log::error("{} gave queue {} back with {} chains in flight: a defect of the device",
               parts_.name, index, queue->in_flight());
  }
  return queue;
}

bool Session::stop_one(std::uint16_t queue) {
  parked_[queue].reset();
  static_cast<void>(take_back(queue));
  MutexLock lock(mutex_);
  queues_[queue].ready = false;
  return true;
}

void Session::reset_by_driver() {
  stop_queues();
  parts_.device->reset();
  running_ = broken_ = false;
  for (const UniqueFd& fd : notify_) drain_eventfd(fd.get());
  copy_config();
  MutexLock lock(mutex_);
  clear_registers();
  ++metrics_.resets;
  parts_.interrupts->clear();
}

void Session::report(std::string_view what, const Error& error) {
  // A guest may start over and over: metrics count on, the log does not fill.
  failures_.tell(log::Level::kWarning, parts_.name, fmt::format(" {}: {}", what, error.text()));
}

void Session::needs_reset() {
  broken_ = true;
  {
    MutexLock lock(mutex_);
    status_ |= VIRTIO_CONFIG_S_NEEDS_RESET;
  }
  parts_.interrupts->changed();
  // The driver learns of the bit by a change of configuration (VIRTIO 1.2, 2.1.2).
  parts_.interrupts->config_interrupt();
}

void Session::device_failed(const Error& error) {
  if (broken_) return;
  report("failed", error);
  if (running_) {
    for (std::optional<Queue>& queue : parked_) queue.reset();
    needs_reset();
  }
  stop_queues();
}

// Queues at work
// ------------------------------------------------------------------------------------------------

void Session::used(std::uint16_t queue) {
  thread_.assert_held();
  if (here_) return parts_.interrupts->queue_interrupt_here(queue);
  parts_.interrupts->queue_interrupt(queue);
}
bool Session::one_interrupt() const { return parts_.interrupts->one_interrupt(); }

void Session::again(std::uint16_t queue) { signal_eventfd(notify_[queue].get()); }

void Session::broken(std::uint16_t queue, const Error& error) {
  thread_.assert_held();
  report(fmt::format("has a queue {} that lies", queue), error);
  {
    MutexLock lock(mutex_);
    ++metrics_.rings_broken;
  }
  needs_reset();
  // The device is inside a call. When that is not kick(), which stops its queues when it is back,
  // an event of its backend has found the lie: a kick that follows does it.
  if (!kicking_) signal_eventfd(notify_[queue].get());
}

void Session::handle_notify(std::uint16_t queue) {
  thread_.assert_held();
  kick(queue);
}

void Session::kick(std::uint16_t queue) {
  if (broken_) return stop_queues();
  // resume() kicks every queue, so a kick during a pause is not lost.
  if (!running_ || paused_) return;
  kicking_ = true;
  parts_.device->kick(queue);
  kicking_ = false;
  if (broken_) stop_queues();
}

// A queue that is found to lie has signalled its eventfd by the end.
bool Session::kick_here(std::uint16_t queue) {
  if (broken_ || !running_ || paused_) return false;
  here_ = true;
  const bool served = parts_.device->kick_here(queue);
  here_ = false;
  return served;
}

void Session::kick_all() {
  for (std::uint16_t i = 0; i < queue_count(); ++i) kick(i);
}

void Session::config_changed() {
  thread_.assert_held();
  // A driver believes what it has read between two looks at the generation that found the same one.
  // Where it looks by itself, one that began before the change and one that ends after it both find
  // another; one that does both within it is told by the interrupt to read again.
  next_generation();
  copy_config();
  next_generation();
  bool heard = false;
  {
    MutexLock lock(mutex_);
    heard = (status_ & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
  }
  if (heard) parts_.interrupts->config_interrupt();
}

void Session::next_generation() {
  {
    MutexLock lock(mutex_);
    ++generation_;
  }
  parts_.interrupts->changed();
}

// Pause, save, restore
// ------------------------------------------------------------------------------------------------

void Session::pause() {
  thread_.assert_held();
  if (paused_) return;
  paused_ = true;
  if (!running_ || broken_) return;
  for (std::uint16_t i = 0; i < queue_count(); ++i) parked_[i] = take_back(i);
}

void Session::resume() {
  thread_.assert_held();
  if (!paused_) return;
  paused_ = false;
  for (std::uint16_t i = 0; i < queue_count(); ++i) {
    if (!parked_[i]) continue;
    Queue queue = std::move(*parked_[i]);
    parked_[i].reset();
    if (auto started = parts_.device->start(i, std::move(queue)); !started) {
      report("could not go on", started.error());
      stop_queues();
      needs_reset();
      return;
    }
  }
  kick_all();
}

Result<SessionState> Session::save() const {
  thread_.assert_held();
  if (!paused_) {
    return fail(ErrorKind::kState, "{} is running; it can be saved while paused", parts_.name);
  }
  MutexLock lock(mutex_);
  SessionState state{.status = status_,
                     .driver_features = driver_features_,
                     .stray_features = stray_features_,
                     .config_generation = generation_,
                     .queues = {}};
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    const QueueAddresses& addresses = queues_[i].addresses;
    state.queues.push_back({.size = addresses.size,
                            .ready = queues_[i].ready,
                            .descriptors = addresses.descriptors,
                            .driver = addresses.driver,
                            .device = addresses.device,
                            .running = std::nullopt});
    // A queue that was found to lie on its way here is not wanted any more.
    if (parked_[i] && !broken_) state.queues.back().running = parked_[i]->save();
  }
  return state;
}

Result<std::unique_ptr<Session>> Session::restore(Parts parts, const SessionState& state) {
  const std::string name = parts.name;
  MOTE_TRY(auto session, create(std::move(parts)));
  session->thread_.assert_held();
  MOTE_CHECK_WITHIN(session->load(state), "the saved state of {} cannot be restored", name);
  return session;
}

Result<void> Session::load(const SessionState& state) {
  constexpr std::uint64_t kVersion1 = std::uint64_t{1} << VIRTIO_F_VERSION_1;
  if (!status_is_reachable(state.status)) {
    return fail(ErrorKind::kInvalid, "no device has the status {:#x}", state.status);
  }
  const bool negotiated = (state.status & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
  if (negotiated && ((state.driver_features & ~offered_) != 0 ||
                     (state.driver_features & kVersion1) == 0 || state.stray_features)) {
    return fail(ErrorKind::kInvalid, "features {:#x} were negotiated, and this device offers {:#x}",
                state.driver_features, offered_);
  }
  if (state.queues.size() != notify_.size()) {
    return fail(ErrorKind::kInvalid, "it has {} queues, and this device has {}",
                state.queues.size(), notify_.size());
  }
  paused_ = true;
  running_ = (state.status & VIRTIO_CONFIG_S_DRIVER_OK) != 0;
  broken_ = (state.status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0;
  std::vector<QueueSetup> queues;
  for (std::uint16_t i = 0; i < queue_count(); ++i) {
    const QueueSetupState& saved = state.queues[i];
    const QueueAddresses addresses{.size = saved.size,
                                   .descriptors = saved.descriptors,
                                   .driver = saved.driver,
                                   .device = saved.device};
    queues.push_back({.addresses = addresses, .ready = saved.ready});
    const bool expected = running_ && !broken_ && saved.ready;
    if (saved.running.has_value() != expected) {
      return fail(ErrorKind::kInvalid, "queue {} {} running, which does not fit status {:#x}", i,
                  expected ? "is not" : "is", state.status);
    }
    if (!expected) continue;
    MOTE_TRY(parked_[i],
             Queue::restore(context(i, state.driver_features), addresses, *saved.running));
  }
  MutexLock lock(mutex_);
  status_ = state.status;
  driver_features_ = state.driver_features;
  stray_features_ = state.stray_features;
  generation_ = state.config_generation;
  queues_ = std::move(queues);
  return {};
}

}  // namespace mote::virtio

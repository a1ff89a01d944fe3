#include "base/event_loop.h"

#include <sys/timerfd.h>

namespace mote {
namespace {

constexpr std::uint64_t kWakeId = 0;

Result<void> set_timerfd(int fd, std::chrono::nanoseconds first, std::chrono::nanoseconds period) {
  const auto to_timespec = [](std::chrono::nanoseconds time) {
    return timespec{.tv_sec = time.count() / 1'000'000'000,
                    .tv_nsec = time.count() % 1'000'000'000};
  };
  const itimerspec spec{.it_interval = to_timespec(period), .it_value = to_timespec(first)};
  if (::timerfd_settime(fd, 0, &spec, nullptr) < 0) return fail_errno(errno, "set a timer");
  return {};
}

}  // namespace

EventLoop::Watch& EventLoop::Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    cancel();
    loop_ = std::exchange(other.loop_, nullptr);
    id_ = other.id_;
    fd_ = other.fd_;
  }
  return *this;
}

Result<void> EventLoop::Watch::modify(std::uint32_t events) {
  epoll_event event{.events = events, .data = {.u64 = id_}};
  if (::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, fd_, &event) < 0) {
    return fail_errno(errno, "change what is watched of descriptor {}", fd_);
  }
  return {};
}

void EventLoop::Watch::cancel() {
  if (loop_ == nullptr) return;
  ::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
  loop_->entries_.erase(id_);
  loop_ = nullptr;
}

Result<void> EventLoop::Timer::set(std::chrono::nanoseconds delay) {
  // A value of 0 would disarm.
  return set_timerfd(fd_.get(), std::max(delay, std::chrono::nanoseconds(1)), {});
}

Result<void> EventLoop::Timer::set_periodic(std::chrono::nanoseconds period) {
  return set_timerfd(fd_.get(), period, period);
}

Result<void> EventLoop::Timer::disarm() { return set_timerfd(fd_.get(), {}, {}); }

EventLoop::EventLoop(UniqueFd epoll, UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

EventLoop::~EventLoop() = default;

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno(errno, "create an epoll descriptor");
  MOTE_TRY(UniqueFd wake, make_eventfd());
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeId}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) < 0) {
    return fail_errno(errno, "watch the event loop's own descriptor");
  }
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

Result<EventLoop::Watch> EventLoop::watch(int fd, std::uint32_t events, Handler handler) {
  const std::uint64_t id = next_id_++;
  epoll_event event{.events = events, .data = {.u64 = id}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
    return fail_errno(errno, "watch descriptor {}", fd);
  }
  entries_.emplace(id, std::make_shared<Entry>(Entry{std::move(handler)}));
  return Watch(this, id, fd);
}

Result<EventLoop::Timer> EventLoop::timer(Task task) {
  Timer timer;
  timer.fd_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer.fd_) return fail_errno(errno, "create a timer");
  const int fd = timer.fd_.get();
  MOTE_TRY(timer.watch_, watch(fd, EPOLLIN, [fd, task = std::move(task)](std::uint32_t) mutable {
             // Nothing to take: it was set anew after it had become due.
             if (drain_eventfd(fd) > 0) task();
           }));
  return timer;
}

void EventLoop::post(Task task) {
  {
    MutexLock lock(mutex_);
    if (closed_) return;
    posted_.push_back(std::move(task));
  }
  signal_eventfd(wake_.get());
}

void EventLoop::close() {
  std::vector<Task> dropped;
  MutexLock lock(mutex_);
  closed_ = true;
  dropped.swap(posted_);
}

void EventLoop::stop() {
  post([this] { stopping_ = true; });
}

Result<void> EventLoop::run() {
  stopping_ = false;
  Events events;
  Result<std::size_t> count = 0;
  turn_.lock();
  running_ = true;
  while (!stopping_ && count) {
    turn_.unlock();
    count = wait(events, -1);
    turn_wanted_ = true;
    turn_.lock();
    turn_wanted_ = false;
    if (count) handle(std::span(events).first(*count));
  }
  running_ = false;
  turn_.unlock();
  if (!count) return detail::take_error(count);
  return {};
}

bool EventLoop::stand_in(const std::function<bool()>& task) {
  if (turn_wanted_ || !turn_.try_lock()) return false;
  const bool answer = running_ && task();
  turn_.unlock();
  return answer;
}

Result<bool> EventLoop::run_once(int timeout_ms) {
  Events events;
  // Their wake-up was taken already.
  if (in_task_) run_posted();
  MOTE_TRY(const std::size_t count, wait(events, timeout_ms));
  handle(std::span(events).first(count));
  return count > 0;
}

Result<std::size_t> EventLoop::wait(Events& into, int timeout_ms) {
  int count = 0;
  do {
    count = ::epoll_wait(epoll_.get(), into.data(), into.size(), timeout_ms);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return fail_errno(errno, "wait for events");
  return static_cast<std::size_t>(count);
}

void EventLoop::handle(std::span<const epoll_event> ready_ones) {
  for (const epoll_event& event : ready_ones) {
    // The structure is packed: its members are copied, not referred to.
    const std::uint64_t id = event.data.u64;
    const std::uint32_t ready = event.events;
    if (id == kWakeId) {
      drain_eventfd(wake_.get());
      run_posted();
      continue;
    }
    // An earlier handler of this turn may have ended this watch.
    const auto found = entries_.find(id);
    if (found == entries_.end()) continue;
    const std::shared_ptr<Entry> entry = found->second;
    entry->handler(ready);
  }
}

EventLoop::Task EventLoop::next_posted() {
  MutexLock lock(mutex_);
  if (posted_.empty()) return {};
  Task task = std::move(posted_.front());
  posted_.erase(posted_.begin());
  return task;
}

// As many as there are at first, so that those that post others leave descriptors their turn; taken
// one by one, as one of them may have the loop go on.
void EventLoop::run_posted() {
  std::size_t count = 0;
  {
    MutexLock lock(mutex_);
    count = posted_.size();
  }
  for (; count > 0; --count) {
    Task task = next_posted();
    if (!task) return;
    const bool within = std::exchange(in_task_, true);
    task();
    in_task_ = within;
  }
}

}  // namespace mote

// EventLoop runs handlers on one thread when descriptors become ready, when timers are due, or when
// another thread posts work. Everything but post(), stop() and stand_in() belongs to the thread
// that calls run().
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/sync.h"
#include "base/unique_fd.h"

namespace mote {

class EventLoop {
 public:
  using Task = std::move_only_function<void()>;
  // Gets the ready events: EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR.
  using Handler = std::move_only_function<void(std::uint32_t events)>;

  // Keeps a descriptor watched; its end ends the watching, also from inside the handler. The loop
  // must outlive it.
  class Watch {
   public:
    Watch() = default;
    Watch(Watch&& other) noexcept { *this = std::move(other); }
    Watch& operator=(Watch&& other) noexcept;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { cancel(); }

    // Changes the events waited for; 0 pauses (EPOLLHUP and EPOLLERR still arrive).
    Result<void> modify(std::uint32_t events);
    void cancel();
    explicit operator bool() const { return loop_ != nullptr; }

   private:
    friend class EventLoop;
    Watch(EventLoop* loop, std::uint64_t id, int fd) : loop_(loop), id_(id), fd_(fd) {}

    EventLoop* loop_ = nullptr;
    std::uint64_t id_ = 0;
    int fd_ = -1;
  };

  // A one-shot or periodic timer on CLOCK_MONOTONIC.
  class Timer {
   public:
    Timer() = default;
    // Due once, `delay` from now; replaces what was set before. A delay of 0 fires at the next
    // turn.
    Result<void> set(std::chrono::nanoseconds delay);
    // Due every `period` (more than 0).
    Result<void> set_periodic(std::chrono::nanoseconds period);
    Result<void> disarm();

   private:
    friend class EventLoop;
    UniqueFd fd_;
    Watch watch_;
  };

  static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // Calls `handler` on the loop's thread whenever `fd` has one of `events` (EPOLLIN, ...). The
  // caller keeps `fd` open for as long as the watch lives.
  Result<Watch> watch(int fd, std::uint32_t events, Handler handler);
  // A disarmed timer whose expiry calls `task`.
  Result<Timer> timer(Task task);

  // Runs `task` on the loop's thread at its next turn. From any thread.
  void post(Task task) EXCLUDES(mutex_);
  // Runs `task` here and now in the stead of the loop's thread, which waits for events in run() and
  // goes on after it: what the task answers. False also where it was not run, as that thread has
  // something to do, or another stands in for it. From any other thread; for what is short and
  // waits for nothing that the loop does.
  bool stand_in(const std::function<bool()>& task) EXCLUDES(turn_);
  // Drops what was posted and not run, and all that is posted from now on, so that a task's
  // destructor can tell whoever waits for it. For the end, when the loop runs no more.
  void close() EXCLUDES(mutex_);
  // Makes run() return after the handlers of the current turn. From any thread.
  void stop();
  // Whether run() is to return, for a task of long work that has the loop go on meanwhile.
  bool stopping() const { return stopping_; }

  // Handles events until stop().
  Result<void> run() EXCLUDES(turn_);
  // Handles what is ready, waiting at most `timeout_ms` (-1: for ever) for the first; true when
  // anything was handled. Also from within a task, whose turn then goes on behind these.
  Result<bool> run_once(int timeout_ms);

 private:
  struct Entry {
    Handler handler;
  };

  using Events = std::array<epoll_event, 32>;

  EventLoop(UniqueFd epoll, UniqueFd wake);
  // How many of `into` are ready.
  Result<std::size_t> wait(Events& into, int timeout_ms);
  void handle(std::span<const epoll_event> ready_ones);
  void run_posted() EXCLUDES(mutex_);
  // The task that was posted first; empty: there is none.
  Task next_posted() EXCLUDES(mutex_);

  UniqueFd epoll_;
  UniqueFd wake_;
  // Shared, so that a handler which cancels its own watch lives to its end.
  std::unordered_map<std::uint64_t, std::shared_ptr<Entry>> entries_;
  std::uint64_t next_id_ = 1;
  bool stopping_ = false;
  bool in_task_ = false;  // that was posted
  // Held by whoever does the loop's work while it runs.
  Mutex turn_;
  bool running_ GUARDED_BY(turn_) = false;
  // The loop's thread wants it: nobody stands in who has not begun.
  std::atomic<bool> turn_wanted_ = false;
  Mutex mutex_;
  std::vector<Task> posted_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace mote

#include "machine/console_input.h"

#include <poll.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "base/unique_fd.h"

namespace mote::machine {

std::unique_ptr<ConsoleInput> ConsoleInput::start(EventLoop& loop, int fd, Hooks hooks) {
  std::unique_ptr<ConsoleInput> input(new ConsoleInput(loop, fd, std::move(hooks)));
  input->wait_for_input();
  return input;
}

void ConsoleInput::wait_for_input() {
  auto watch = loop_.watch(fd_, EPOLLIN, [this](std::uint32_t) { pump(); });
  if (!watch) return pump();
  watch_ = std::move(*watch);
}

void ConsoleInput::room() {
  if (!ended_ && !pending_.empty() && feed_pending()) wait_for_input();
}

void ConsoleInput::pump() {
  while (!ended_) {
    if (!feed_pending()) {
      // The port is full, and room() goes on. The watch ends, as one that waits for nothing is
      // still told of a hang-up.
      watch_.cancel();
      return;
    }
    // The descriptor may be shared with others, so that it is not made non-blocking: it is asked
    // instead.
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    if (watch_ && ::poll(&ready, 1, 0) == 0) return;
    const auto count = read_some(fd_, buffer_);
    if (!count) {
      log::debug("console input ends: {}", count.error().text());
      return finish();
    }
    if (!*count) return;
    if (**count == 0) return finish();
    pending_ = std::span(buffer_).first(**count);
  }
}

bool ConsoleInput::feed_pending() {
  while (!pending_.empty()) {
    const std::size_t taken = hooks_.feed(pending_);
    if (taken == 0) return false;
    pending_ = pending_.subspan(taken);
  }
  return true;
}

void ConsoleInput::finish() {
  ended_ = true;
  watch_.cancel();
  if (hooks_.at_end) hooks_.at_end();
}

}  // namespace mote::machine

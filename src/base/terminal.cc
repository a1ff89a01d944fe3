#include "base/terminal.h"

#include <unistd.h>

#include <utility>

namespace mote {

bool has_another_job(int fd) {
  const pid_t job = ::tcgetpgrp(fd);
  return job >= 0 && job != ::getpgrp();
}

Result<std::optional<RawTerminal>> RawTerminal::enter(int fd, Output output) {
  termios before{};
  if (::tcgetattr(fd, &before) < 0) return std::nullopt;
  termios raw = before;
  ::cfmakeraw(&raw);
  if (output == Output::kCooked) raw.c_oflag |= OPOST | ONLCR;
  if (::tcsetattr(fd, TCSANOW, &raw) < 0)
    return fail_errno(errno, "put the terminal into raw mode");
  return RawTerminal(fd, before);
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

RawTerminal& RawTerminal::operator=(RawTerminal&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(before_, other.before_);
  return *this;
}

RawTerminal::~RawTerminal() { leave(); }

void RawTerminal::leave() {
  if (fd_ >= 0) ::tcsetattr(fd_, TCSANOW, &before_);
  fd_ = -1;
}

}  // namespace mote

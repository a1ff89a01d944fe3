#include "virtio/console/backends.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace mote::virtio {

Result<std::unique_ptr<PortBackend>> make_backend(const PortConfig& config, EventLoop& loop) {
  switch (config.mode) {
    case PortMode::Stdio:
      return StreamBackend::create(loop, STDIN_FILENO, STDOUT_FILENO);
    case PortMode::File:
      return StreamBackend::open(loop, config.path.value_or(""));
    case PortMode::Socket:
      return SocketBackend::listen(loop, config.path.value_or(""));
    case PortMode::Null:
      break;
  }
  return std::make_unique<NullBackend>();
}

// Streams
// ------------------------------------------------------------------------------------------------

Result<std::unique_ptr<StreamBackend>> StreamBackend::create(EventLoop& loop, int input,
                                                             int output) {
  MOTE_TRY(FdSink sink, FdSink::create(output));
  return std::unique_ptr<StreamBackend>(
      new StreamBackend(loop, UniqueFd(), input, output, std::move(sink)));
}

Result<std::unique_ptr<StreamBackend>> StreamBackend::open(EventLoop& loop,
                                                           const std::string& path) {
  constexpr unsigned kMode = 0644;
  MOTE_TRY(UniqueFd file,
           open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY, kMode));
  const int output = file.get();
  MOTE_TRY(FdSink sink, FdSink::create(output));
  return std::unique_ptr<StreamBackend>(
      new StreamBackend(loop, std::move(file), -1, output, std::move(sink)));
}

Result<std::size_t> StreamBackend::write(std::span<const std::byte> bytes) {
  MOTE_TRY(const std::size_t count, sink_.write(bytes));
  if (count == bytes.size() || writable_) return count;
  auto watch = loop_.watch(output_, EPOLLOUT, [this](std::uint32_t) {
    writable_.cancel();
    changed();
  });
  // What cannot be watched never makes one wait, so that its shortage is a failure.
  if (!watch) return std::unexpected(std::move(watch.error()));
  writable_ = std::move(*watch);
  return count;
}

Result<std::size_t> StreamBackend::read(std::span<std::byte> into) {
  if (input_ < 0 || into.empty()) return 0;
  // The open file may be shared with others, so that it is not made non-blocking: it is asked
  // instead.
  pollfd ready{.fd = input_, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 0) > 0) {
    auto count = read_some(input_, into);
    if (count && *count && **count > 0) return **count;
    if (!count || *count) {
      // The end. A reader in the guest waits on, as the output still has somebody.
      input_ = -1;
      readable_.cancel();
      if (!count) return std::unexpected(std::move(count.error()));
      return 0;
    }
  }
  if (readable_) return 0;
  auto watch = loop_.watch(input_, EPOLLIN, [this](std::uint32_t) {
    readable_.cancel();
    changed();
  });
  if (!watch) {
    input_ = -1;
    return std::unexpected(std::move(watch.error()));
  }
  readable_ = std::move(*watch);
  return 0;
}

std::optional<WindowSize> StreamBackend::window() const {
  winsize size{};
  if (::ioctl(output_, TIOCGWINSZ, &size) < 0 || size.ws_col == 0) return std::nullopt;
  return WindowSize{.columns = size.ws_col, .rows = size.ws_row};
}

// Sockets
// ------------------------------------------------------------------------------------------------

Result<std::unique_ptr<SocketBackend>> SocketBackend::listen(EventLoop& loop,
                                                             const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kInvalid, "the path '{}' is too long for a socket", path);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "make a socket");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(errno, "bind the socket '{}'", path);
  }
  std::unique_ptr<SocketBackend> backend(new SocketBackend(loop, std::move(fd), path));
  if (::listen(backend->listener_.get(), 1) < 0) {
    return fail_errno(errno, "listen on the socket '{}'", path);
  }
  MOTE_CHECK(backend->wait_for_client());
  return backend;
}

SocketBackend::~SocketBackend() { ::unlink(path_.c_str()); }

Result<void> SocketBackend::wait_for_client() {
  if (accepting_) return {};
  MOTE_TRY(accepting_, loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); }));
  return {};
}

void SocketBackend::accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return;
  accepting_.cancel();
  watch_.cancel();
  client_ = std::move(fd);
  want_input_ = want_room_ = input_ended_ = gone_ = false;
  watch_client();
  changed();
}

void SocketBackend::watch_client() {
  if (gone_) return;
  const std::uint32_t events =
      (want_input_ ? std::uint32_t{EPOLLIN} : 0) | (want_room_ ? std::uint32_t{EPOLLOUT} : 0);
  if (watch_) {
    if (watch_.modify(events)) return;
  } else if (auto watch = loop_.watch(client_.get(), events,
                                      [this](std::uint32_t happened) { on_client(happened); })) {
    watch_ = std::move(*watch);
    return;
  }
  drop_client_later();
}

void SocketBackend::on_client(std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    // It tells this again and again, so that it is heard once. What was written before is read
    // first.
    gone_ = true;
    watch_.cancel();
    // Who comes next need not wait for what the guest may never read.
    if (input_ended_ || !wait_for_client()) return drop_client();
  }
  if ((events & EPOLLIN) != 0) want_input_ = false;
  if ((events & EPOLLOUT) != 0) want_room_ = false;
  watch_client();
  changed();
}

void SocketBackend::drop_client_later() {
  loop_.post([this, alive = std::weak_ptr<void>(alive_), client = client_.get()] {
    if (!alive.expired() && client_.get() == client) drop_client();
  });
}

void SocketBackend::drop_client() {
  watch_.cancel();
  client_.reset();
  if (auto again = wait_for_client(); !again) {
    log::error("console socket '{}': {}", path_, again.error().text());
  }
  changed();
}

Result<std::size_t> SocketBackend::write(std::span<const std::byte> bytes) {
  if (!client_) return fail(ErrorKind::kState, "nobody is connected");
  ssize_t count = -1;
  do {
    count = ::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno != EAGAIN) {
    const int code = errno;
    // Of a client that has hung up: the end of it follows from its watch, or from reading.
    return fail_errno(code, "console socket '{}'", path_);
  }
  const std::size_t taken = count < 0 ? 0 : static_cast<std::size_t>(count);
  if (taken < bytes.size() && !want_room_) {
    want_room_ = true;
    watch_client();
  }
  return taken;
}

Result<std::size_t> SocketBackend::read(std::span<std::byte> into) {
  if (!client_ || input_ended_ || into.empty()) return 0;
  auto count = read_some(client_.get(), into);
  if (count && *count && **count > 0) return **count;
  if (count && !*count) {
    if (!want_input_) {
      want_input_ = true;
      watch_client();
    }
    return 0;
  }
  input_ended_ = true;
  if (gone_ || !count) drop_client_later();
  if (!count) return std::unexpected(std::move(count.error()));
  return 0;
}

}  // namespace mote::virtio

#include "api/http/server.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/json.h"
#include "base/log.h"

namespace mote::api::http {
namespace {

// Clients that wait to be taken: a crowd that connects at once, without waiting, is not sent away.
constexpr int kBacklog = 1024;
// Clients that are taken at one turn of the loop.
constexpr int kAcceptBurst = 16;
constexpr std::chrono::milliseconds kTick{200};

}  // namespace

Result<UniqueFd> listen_at(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kInvalid, "the API's socket {}: a path of 1 to {} bytes is needed",
                json::quote(path), sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "create the API's socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    if (errno == EADDRINUSE) {
      return fail(
          ErrorKind::kState,
          "the API's socket {}: something is there already; remove it, or give another path "
          "to --api-sock",
          json::quote(path));
    }
    return fail_errno(errno, "the API's socket {}", json::quote(path));
  }
  if (::listen(socket.get(), kBacklog) < 0) {
    return fail_errno(errno, "listen on the API's socket {}", json::quote(path));
  }
  return socket;
}

Server::Server(EventLoop& loop, UniqueFd listener, Limits limits, Handler handler)
    : loop_(loop), listener_(std::move(listener)), limits_(limits), handler_(std::move(handler)) {}

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, UniqueFd listener, Limits limits,
                                               Handler handler) {
  std::unique_ptr<Server> server(new Server(loop, std::move(listener), limits, std::move(handler)));
  MOTE_TRY(server->listener_watch_,
           loop.watch(server->listener_.get(), EPOLLIN,
                      [self = server.get()](std::uint32_t) { self->accept_some(); }));
  return server;
}

void Server::accept_some() {
  for (int i = 0; i < kAcceptBurst && accept_one(); ++i) {
  }
}

bool Server::accept_one() {
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    const int reason = errno;
    if (reason == EAGAIN || reason == EINTR || reason == ECONNABORTED) return reason != EAGAIN;
    // The kernel looks for a descriptor before it looks for a client.
    pollfd waiting{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 0) <= 0) return false;
    // Out of descriptors or memory. Who has been silent for longest makes room; without such, the
    // client waits.
    if (!connections_.empty()) {
      make_room();
      return true;
    }
    log::error("API: cannot take a client: {}", errno_text(reason));
    deaf_ = listener_watch_.modify(0).has_value();
    want_tick();
    return false;
  }
  if (connections_.size() >= limits_.connections) make_room();
  if (const auto added = add(std::move(socket)); !added) {
    log::error("API: cannot take a client: {}", added.error().text());
  }
  return true;
}

void Server::make_room() {
  const auto idle = std::ranges::find(connections_, nullptr, &Connection::late);
  connections_.erase(idle == connections_.end() ? connections_.begin() : idle);
}

Result<void> Server::add(UniqueFd socket) {
  connections_.emplace_back(std::move(socket), limits_.body);
  const auto connection = std::prev(connections_.end());
  connection->id = next_id_++;
  auto watch = loop_.watch(connection->fd(), EPOLLIN, [this, connection](std::uint32_t events) {
    advance(connection, events);
  });
  if (!watch) {
    connections_.erase(connection);
    return std::unexpected(std::move(watch.error()));
  }
  connection->watch = std::move(*watch);
  connection->watched = EPOLLIN;
  return {};
}

void Server::advance(Connections::iterator connection, std::uint32_t events) {
  const LateAnswer* const waited_for = connection->late();
  if (connection->advance(events, scratch_, handler_) == Connection::Fate::kEnded) {
    connections_.erase(connection);
    return;
  }
  if (LateAnswer* const late = connection->late(); late != nullptr && late != waited_for) {
    late->when_there([this, id = connection->id] { loop_.post([this, id] { deliver(id); }); });
  }
  // A client that is not listened to any more must not outlive others by sending.
  if (connection->discarding()) {
    want_tick();
  } else {
    connections_.splice(connections_.end(), connections_, connection);
  }
  const std::uint32_t wanted = connection->wanted();
  if (wanted == connection->watched) return;
  connection->watched = wanted;
  if (!connection->watch.modify(wanted)) connections_.erase(connection);
}

void Server::deliver(std::uint64_t id) {
  const auto connection = std::ranges::find(connections_, id, &Connection::id);
  if (connection == connections_.end()) return;
  connection->take_late();
  advance(connection, 0);
}

void Server::want_tick() {
  if (ticking_) return;
  if (!has_timer_) {
    auto timer = loop_.timer([this] { tick(); });
    if (!timer) return log::error("API: no timer: {}", timer.error().text());
    timer_ = std::move(*timer);
    has_timer_ = true;
  }
  ticking_ = timer_.set(kTick).has_value();
}

void Server::tick() {
  ticking_ = false;
  const auto now = Connection::Clock::now();
  bool more = false;
  for (auto i = connections_.begin(); i != connections_.end();) {
    const auto connection = i++;
    if (connection->overdue(now)) {
      connections_.erase(connection);
    } else {
      more |= connection->discarding();
    }
  }
  if (deaf_) deaf_ = !listener_watch_.modify(EPOLLIN).has_value();
  if (more || deaf_) want_tick();
}

}  // namespace mote::api::http

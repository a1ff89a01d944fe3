// Server answers HTTP/1.1 on a Unix socket, on the event loop of the thread that it belongs to.
// What one client does, or leaves undone, costs the others nothing but their share of turns.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <string>

#include "api/http/connection.h"
#include "api/http/message.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::api::http {

struct Limits {
  std::size_t body = 51200;  // bytes
  // At the same time. One more ends the one that has been silent for longest.
  std::size_t connections = 256;
};

// Binds a listening socket at `path`, with the rights that the umask leaves (srwxr-xr-x under 022).
// Errors: something is there already, its directory is not, or the path has more than 107 bytes or
// none. The socket stays when the process ends, as Firecracker's does.
Result<UniqueFd> listen_at(const std::string& path);

class Server {
 public:
  // Accepts from `listener` from now on. `loop` outlives the server.
  static Result<std::unique_ptr<Server>> create(EventLoop& loop, UniqueFd listener, Limits limits,
                                                Handler handler);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::size_t connections() const { return connections_.size(); }

 private:
  using Connections = std::list<Connection>;

  Server(EventLoop& loop, UniqueFd listener, Limits limits, Handler handler);
  void accept_some();
  // Takes one client; false: there is none, or no room for it for now.
  bool accept_one();
  // Ends the connection that has been silent for longest, of those that wait for no answer where
  // there are such.
  void make_room();
  Result<void> add(UniqueFd socket);
  void advance(Connections::iterator connection, std::uint32_t events);
  // The answer is there that the connection of this id waits for, if it still does.
  void deliver(std::uint64_t id);
  // Wakes tick() in a while, if it is not to wake anyway.
  void want_tick();
  // Ends what is overdue, and accepts again.
  void tick();

  EventLoop& loop_;
  UniqueFd listener_;
  Limits limits_;
  Handler handler_;
  std::uint64_t next_id_ = 1;
  Connections connections_;  // the one that was silent for longest first
  EventLoop::Watch listener_watch_;
  EventLoop::Timer timer_;
  bool has_timer_ = false;
  bool ticking_ = false;
  bool deaf_ = false;  // the listener is not watched: no descriptor was left for a client
  std::array<char, std::size_t{16} << 10> scratch_;
};

}  // namespace mote::api::http

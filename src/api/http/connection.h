// Connection is one client of the server: what it sent and is not dealt with, what it is to get and
// did not take. It is fed by the server's event loop and never blocks it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "api/http/request_parser.h"
#include "api/http/response.h"
#include "base/event_loop.h"
#include "base/unique_fd.h"

namespace mote::api::http {

class Connection {
 public:
  using Clock = std::chrono::steady_clock;
  // How long a client that sent what cannot be understood may go on sending, so that it gets its
  // answer, before the connection ends.
  static constexpr std::chrono::seconds kLinger{1};

  Connection(UniqueFd socket, std::size_t body_limit)
      : socket_(std::move(socket)), parser_(body_limit) {}

  enum class Fate { kGoesOn, kEnded };
  // Deals with what is ready: reads at most one `scratch` of bytes, answers at most kBurst
  // requests by `handler`, and writes what the client takes.
  Fate advance(std::uint32_t events, std::span<char> scratch, Handler& handler);

  // The events to wait for now. A client that has not taken its answers is not listened to.
  std::uint32_t wanted() const;
  // Whether the connection only waits for its end, and since when that is due.
  bool overdue(Clock::time_point now) const { return discarding_ && now >= deadline_; }
  bool discarding() const { return discarding_; }

  // The answer that the client waits for; null: none. Requests behind it are dealt with afterwards.
  LateAnswer* late() const { return late_.get(); }
  // Takes that answer, which is there, for advance() to go on.
  void take_late();

  int fd() const { return socket_.get(); }
  // The watch of fd(), which ends with the connection.
  EventLoop::Watch watch;
  std::uint64_t id = 0;       // no other has had it
  std::uint32_t watched = 0;  // the events that `watch` waits for

 private:
  static constexpr int kBurst = 8;

  // Descriptors that came.
  struct Passed {
    std::vector<UniqueFd> descriptors = {};
    bool too_many = false;  // more came than a request may bring

    void add(Passed&& more);
  };

  // Requests in `bytes`; returns how many bytes are dealt with.
  std::size_t consume(std::string_view bytes, Handler& handler);
  std::size_t consume_some(std::string_view bytes, Handler& handler);
  // `behind` is what came behind the request.
  void answer(Request&& request, std::string_view behind, Handler& handler);
  void append_answer(Response response);
  void refuse(Afterwards afterwards);
  // Reads into `scratch`; false: the connection is at its end.
  bool receive(std::span<char> scratch, Handler& handler);
  // Answers the requests that are whole with `bytes`, and keeps the rest.
  void take_in(std::string_view bytes, Handler& handler);
  // Writes what can be written; false: nobody is there to take it.
  bool send();
  // One write of what is next.
  Result<std::optional<std::size_t>> send_next();

  UniqueFd socket_;
  RequestParser parser_;
  std::string backlog_;     // received, and not a whole message or not its turn yet
  bool postponed_ = false;  // the backlog may hold whole requests
  std::unique_ptr<LateAnswer> late_;
  std::string out_;  // answers, of which `sent_` bytes are sent
  std::size_t sent_ = 0;
  // Descriptors that go beside the byte of `out_` at this place, the first first.
  struct Enclosed {
    std::size_t place;
    std::vector<UniqueFd> descriptors;
  };
  std::vector<Enclosed> enclosed_;
  // The kernel tells beside which bytes descriptors came no better than that they were sent with
  // the last of those that it hands over at once: they belong to the last request that is among
  // these.
  Passed fresh_;              // with the bytes at hand
  Passed taken_;              // before, with parts of the request that is not whole
  bool half_closed_ = false;  // the client sends no more
  bool discarding_ = false;   // what arrives is read and thrown away
  Clock::time_point deadline_;
};

}  // namespace mote::api::http

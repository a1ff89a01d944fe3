#include "metadata/tcp_endpoint.h"

#include <algorithm>

namespace mote::metadata {

TcpEndpoint::TcpEndpoint(Service& service, std::function<std::uint32_t()> first)
    : service_(service), metrics_(service.metrics()), first_(std::move(first)) {}

TcpEndpoint::~TcpEndpoint() { metrics_.connections_destroyed += connections_.size(); }

// From the guest
// ------------------------------------------------------------------------------------------------

void TcpEndpoint::receive(const Peer& peer, const Segment& segment, Time now) {
  ++metrics_.rx_count;
  if (segment.destination_port != kHttpPort) {
    ++metrics_.rx_accepted_unusual;
    return reset(peer, segment);
  }
  const auto found = std::ranges::find_if(connections_, [&](const Connection& one) {
    return one->peer().port == peer.port && one->peer().address == peer.address;
  });
  if (found == connections_.end()) {
    const bool opens = segment.syn && !segment.ack && !segment.rst && !segment.fin;
    return opens ? open(peer, segment, now) : reset(peer, segment);
  }
  TcpConnection& connection = **found;
  const auto outcome = connection.receive(peer, segment, now);
  if (outcome != TcpConnection::Outcome::kGood) ++metrics_.rx_accepted_unusual;
  if (outcome == TcpConnection::Outcome::kReset) reset(peer, segment);
  serve_all();
  bury();
}

void TcpEndpoint::open(const Peer& peer, const Segment& syn, Time now) {
  if (connections_.size() >= kMostConnections && !make_room(now)) {
    ++metrics_.rx_accepted_unusual;
    return reset(peer, syn);
  }
  connections_.push_back(std::make_unique<TcpConnection>(peer, syn, first_(), now));
  ++metrics_.connections_created;
}

// A flood of beginnings pushes out other beginnings, the oldest first; a connection that is in use
// stays.
bool TcpEndpoint::make_room(Time now) {
  const auto oldest = [&](auto may_go) {
    Connection* found = nullptr;
    for (Connection& one : connections_) {
      if (!may_go(*one)) continue;
      if (found == nullptr || one->last_heard() < (*found)->last_heard()) found = &one;
    }
    return found;
  };
  Connection* leaves = oldest([](const TcpConnection& one) { return one.half_open(); });
  if (leaves == nullptr) {
    leaves = oldest([&](const TcpConnection& one) { return now - one.last_heard() >= kIdle; });
  }
  if (leaves == nullptr) return false;
  (*leaves)->abort();
  bury();
  return true;
}

// Hands the service what it can take, in turn while it may make responses at all.
void TcpEndpoint::serve_all() {
  for (const Connection& one : connections_) serve(*one);
}

void TcpEndpoint::serve(TcpConnection& connection) {
  while (connection.may_ask()) {
    std::size_t held = 0;
    for (const Connection& one : connections_) held += one->held();
    if (held >= kMostHeld) return;
    const Service::Turn turn = service_.serve(connection.received());
    if (turn.taken == 0) return connection.starved();
    connection.answer(turn.taken, turn.response, turn.close);
    ++metrics_.tx_count;
  }
}

// Resets
// ------------------------------------------------------------------------------------------------

// RFC 9293, section 3.10.7.1.
void TcpEndpoint::reset(const Peer& peer, const Segment& segment) {
  if (segment.rst) return;
  Segment answer{.source_port = segment.destination_port,
                 .destination_port = segment.source_port,
                 .rst = true};
  if (segment.ack) {
    answer.sequence = segment.acknowledgment;
  } else {
    answer.ack = true;
    answer.acknowledgment = segment.sequence + segment.length();
  }
  push_reset(peer, answer);
}

void TcpEndpoint::push_reset(const Peer& peer, const Segment& reset) {
  if (resets_.size() == kMostResets) {
    ++metrics_.tx_errors;
    return;
  }
  resets_.push_back({.to = peer, .segment = reset});
}

// Takes away the connections that are over.
void TcpEndpoint::bury() {
  for (const Connection& one : connections_) {
    if (!one->over()) continue;
    if (const auto farewell = one->farewell()) push_reset(one->peer(), *farewell);
    ++metrics_.connections_destroyed;
  }
  std::erase_if(connections_, [](const Connection& one) { return one->over(); });
}

// To the guest
// ------------------------------------------------------------------------------------------------

bool TcpEndpoint::ready(unsigned lane) const {
  return std::ranges::any_of(resets_, [&](const Outgoing& one) { return one.to.lane == lane; }) ||
         std::ranges::any_of(connections_, [&](const Connection& one) {
           return one->peer().lane == lane && one->ready();
         });
}

std::optional<TcpEndpoint::Outgoing> TcpEndpoint::next(unsigned lane, Time now) {
  const auto reset =
      std::ranges::find_if(resets_, [&](const Outgoing& one) { return one.to.lane == lane; });
  if (reset != resets_.end()) {
    const Outgoing outgoing = *reset;
    resets_.erase(reset);
    ++metrics_.tx_count;
    return outgoing;
  }
  for (std::size_t tried = 0; tried < connections_.size(); ++tried) {
    TcpConnection& connection = *connections_[turn_++ % connections_.size()];
    if (connection.peer().lane != lane || !connection.ready()) continue;
    const auto segment = connection.next(now);
    if (!segment) continue;
    ++metrics_.tx_count;
    const Outgoing outgoing{.to = connection.peer(), .segment = *segment};
    // The last segment of all has no payload that would go with its connection.
    if (connection.over()) bury();
    return outgoing;
  }
  return std::nullopt;
}

std::optional<Time> TcpEndpoint::deadline() const {
  std::optional<Time> first;
  for (const Connection& one : connections_) {
    const auto due = one->deadline();
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

void TcpEndpoint::tick(Time now) {
  for (const Connection& one : connections_) one->tick(now);
  bury();
  serve_all();
}

}  // namespace mote::metadata

#include "api/http/connection.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/descriptor_passing.h"
#include "base/log.h"

namespace mote::api::http {

std::uint32_t Connection::wanted() const {
  const bool unsent = sent_ < out_.size();
  return unsent || postponed_ ? EPOLLOUT : EPOLLIN;
}

Connection::Fate Connection::advance(std::uint32_t events, std::span<char> scratch,
                                     Handler& handler) {
  if (!send()) return Fate::kEnded;
  const bool unsent = sent_ < out_.size();
  if (postponed_ && !unsent) {
    const std::string bytes = std::exchange(backlog_, {});
    backlog_ = bytes.substr(consume(bytes, handler));
  } else if (!unsent && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    if (!receive(scratch, handler)) return Fate::kEnded;
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    return Fate::kEnded;
  }
  if (!send()) return Fate::kEnded;
  // A request that is not whole by now never will be.
  const bool over = half_closed_ && !postponed_ && sent_ == out_.size();
  return over ? Fate::kEnded : Fate::kGoesOn;
}

bool Connection::receive(std::span<char> scratch, Handler& handler) {
  auto got = receive_some(socket_.get(), std::as_writable_bytes(scratch));
  if (!got) return false;
  if (!*got) return true;
  Received& received = **got;
  if (received.bytes == 0) {
    half_closed_ = true;
    return true;
  }
  if (discarding_) return true;
  too_many_ = too_many_ || received.lost_some;
  for (UniqueFd& descriptor : received.descriptors) {
    if (taken_.size() == kMaxPassed) too_many_ = true;
    if (!too_many_) taken_.push_back(std::move(descriptor));
  }
  take_in({scratch.data(), received.bytes}, handler);
  // It may have been secrets, and the next bytes may be another client's.
  ::explicit_bzero(scratch.data(), received.bytes);
  return true;
}

void Connection::take_in(std::string_view bytes, Handler& handler) {
  if (backlog_.empty()) {
    // The usual case: whole requests, of which nothing is kept.
    bytes.remove_prefix(consume(bytes, handler));
    backlog_ = bytes;
    return;
  }
  backlog_ += bytes;
  const std::string whole = std::exchange(backlog_, {});
  backlog_ = whole.substr(consume(whole, handler));
}

std::size_t Connection::consume(std::string_view bytes, Handler& handler) {
  std::size_t taken = 0;
  postponed_ = false;
  for (int messages = 0; taken < bytes.size() && !postponed_;) {
    const RequestParser::Step step = parser_.feed(bytes.substr(taken));
    taken += step.taken;
    switch (step.state) {
      case RequestParser::State::kNeedMore:
        return taken;
      case RequestParser::State::kExpects:
        append_continue(out_);
        continue;
      case RequestParser::State::kRequest:
        answer(parser_.take(), handler);
        break;
      case RequestParser::State::kRefused:
        refuse(Afterwards::kKeepAlive);
        break;
      case RequestParser::State::kBroken:
        refuse(Afterwards::kClose);
        discarding_ = true;
        deadline_ = Clock::now() + kLinger;
        return bytes.size();
    }
    // The others have their turn.
    postponed_ = ++messages == kBurst && taken < bytes.size();
  }
  return taken;
}

void Connection::answer(Request&& request, Handler& handler) {
  request.descriptors = std::exchange(taken_, {});
  Response response =
      std::exchange(too_many_, false)
          ? refusal(fmt::format(
                "more than {} descriptors came with the request, or than there is room for",
                kMaxPassed))
          : handler(std::move(request));
  if (!response.descriptors.empty()) {
    enclosed_.push_back({.place = out_.size(), .descriptors = std::move(response.descriptors)});
  }
  append(out_, response, Afterwards::kKeepAlive);
}

void Connection::refuse(Afterwards afterwards) {
  log::error("API: no proper request: {}", parser_.complaint());
  taken_.clear();
  too_many_ = false;
  append(out_, refusal(parser_.complaint()), afterwards);
}

Result<std::optional<std::size_t>> Connection::send_next() {
  const auto rest = std::as_bytes(std::span(out_)).subspan(sent_);
  if (enclosed_.empty()) return write_some(socket_.get(), rest);
  const std::size_t before = enclosed_.front().place - sent_;
  if (before > 0) return write_some(socket_.get(), rest.first(before));
  const std::size_t until =
      enclosed_.size() > 1 ? enclosed_[1].place - enclosed_[0].place : rest.size();
  auto sent = send_some(socket_.get(), rest.first(until), enclosed_.front().descriptors);
  if (sent && *sent) enclosed_.erase(enclosed_.begin());
  return sent;
}

bool Connection::send() {
  while (sent_ < out_.size()) {
    const auto written = send_next();
    if (!written) return false;
    if (!*written) return true;
    sent_ += **written;
  }
  sent_ = 0;
  // A large answer's memory is not kept.
  if (out_.capacity() > kMaxHead) out_ = {};
  out_.clear();
  return true;
}

}  // namespace mote::api::http

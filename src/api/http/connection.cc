#include "api/http/connection.h"

#include <string.h>
#include <sys/epoll.h>

#include <algorithm>
#include <iterator>

#include "base/descriptor_passing.h"
#include "base/log.h"

namespace mote::api::http {
namespace {

// Line ends begin no request.
bool begins_none(std::string_view behind) {
  return behind.find_first_not_of("\r\n") == std::string_view::npos;
}

}  // namespace

std::uint32_t Connection::wanted() const {
  const bool unsent = sent_ < out_.size();
  if (unsent || postponed_) return EPOLLOUT;
  return late_ ? 0 : EPOLLIN;
}

Connection::Fate Connection::advance(std::uint32_t events, std::span<char> scratch,
                                     Handler& handler) {
  if (!send()) return Fate::kEnded;
  const bool unsent = sent_ < out_.size();
  if (postponed_ && !unsent) {
    const std::string bytes = std::exchange(backlog_, {});
    backlog_ = bytes.substr(consume(bytes, handler));
  } else if (!unsent && !late_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    if (!receive(scratch, handler)) return Fate::kEnded;
  } else if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    return Fate::kEnded;
  }
  if (!send()) return Fate::kEnded;
  // A request that is not whole by now never will be.
  const bool over = half_closed_ && !postponed_ && !late_ && sent_ == out_.size();
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
  fresh_.add({.descriptors = std::move(received.descriptors), .too_many = received.lost_some});
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

void Connection::Passed::add(Passed&& more) {
  too_many = too_many || more.too_many || descriptors.size() + more.descriptors.size() > kMaxPassed;
  if (too_many) {
    descriptors.clear();
  } else {
    std::ranges::move(more.descriptors, std::back_inserter(descriptors));
  }
  more = {};
}

std::size_t Connection::consume(std::string_view bytes, Handler& handler) {
  const std::size_t taken = consume_some(bytes, handler);
  // Of a request that goes on with the next bytes, if there is one.
  if (!postponed_ && !late_) taken_.add(std::exchange(fresh_, {}));
  return taken;
}

std::size_t Connection::consume_some(std::string_view bytes, Handler& handler) {
  std::size_t taken = 0;
  postponed_ = false;
  for (int messages = 0; taken < bytes.size() && !postponed_ && !late_;) {
    const RequestParser::Step step = parser_.feed(bytes.substr(taken));
    taken += step.taken;
    switch (step.state) {
      case RequestParser::State::kNeedMore:
        return taken;
      case RequestParser::State::kExpects:
        append_continue(out_);
        continue;
      case RequestParser::State::kRequest:
        answer(parser_.take(), bytes.substr(taken), handler);
        break;
      case RequestParser::State::kRefused:
        refuse(Afterwards::kKeepAlive);
        if (begins_none(bytes.substr(taken))) fresh_ = {};
        break;
      case RequestParser::State::kBroken:
        refuse(Afterwards::kClose);
        discarding_ = true;
        fresh_ = {};
        deadline_ = Clock::now() + kLinger;
        return bytes.size();
    }
    // The others have their turn.
    postponed_ = ++messages == kBurst && !late_ && taken < bytes.size();
  }
  return taken;
}

void Connection::answer(Request&& request, std::string_view behind, Handler& handler) {
  Passed passed = std::exchange(taken_, {});
  if (begins_none(behind)) passed.add(std::exchange(fresh_, {}));
  request.descriptors = std::move(passed.descriptors);
  bool answered = false;
  request.answer_now = [this, &answered](Response&& given) {
    answered = true;
    append_answer(std::move(given));
    // Whether the client is still there is found out afterwards, on the server's thread; which also
    // sends what is behind descriptors.
    if (enclosed_.empty()) static_cast<void>(send());
  };
  Response response =
      passed.too_many
          ? refusal(fmt::format(
                "more than {} descriptors came with the request, or than there is room for",
                kMaxPassed))
          : handler(std::move(request));
  if (answered) return;
  late_ = std::move(response.late);
  if (!late_) append_answer(std::move(response));
}

void Connection::take_late() {
  append_answer(std::exchange(late_, nullptr)->take());
  postponed_ = !backlog_.empty();
}

void Connection::append_answer(Response response) {
  if (!response.descriptors.empty()) {
    enclosed_.push_back({.place = out_.size(), .descriptors = std::move(response.descriptors)});
  }
  append(out_, response, Afterwards::kKeepAlive);
}

void Connection::refuse(Afterwards afterwards) {
  log::error("API: no proper request: {}", parser_.complaint());
  taken_ = {};
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

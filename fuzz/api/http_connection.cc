// A connection of the API's server: any bytes are answered with whole answers, the same ones
// however the bytes are cut into pieces. The first two bytes say where.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>

#include "api/http/connection.h"
#include "base/log.h"
#include "base/utf8.h"
#include "fuzz/target.h"

namespace mote::fuzz {
namespace {

using api::http::Connection;

constexpr std::size_t kBodyLimit = 64;
// Less than a socket takes at once, and than a head may have.
constexpr std::size_t kMostBytes = 8000;

api::http::Response answer(api::http::Request&& request) {
  require(request.body.size() <= kBodyLimit, "a body is within its limit");
  require(request.target.starts_with('/'), "a target is a path");
  require(!find_invalid_utf8(request.target), "in UTF-8");
  require(request.method == "GET" || request.method == "PUT" || request.method == "PATCH" ||
              request.method == "DELETE",
          "methods are those that an API may have");
  if (request.method == "DELETE") return {};
  return {.status = 200, .body = "\"" + std::to_string(request.body.size()) + "\""};
}

class Talk {
 public:
  Talk() {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
            "there is a pair of sockets");
    client_.reset(ends[0]);
    connection_.emplace(UniqueFd(ends[1]), kBodyLimit);
  }

  void send(std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) return;
    const auto sent = write_some(client_.get(), std::as_bytes(bytes));
    require(sent && *sent == bytes.size(), "the socket takes the bytes");
    turns();
  }

  // The answers, after the client has closed its side.
  std::string end() {
    ::shutdown(client_.get(), SHUT_WR);
    turns();
    require(ended_, "the connection ends when its client sends no more");
    return answers_;
  }

 private:
  void turns() {
    // Until it only waits for more: a turn takes some of what there is.
    for (int quiet = 0; quiet < 2 && !ended_;) {
      const std::uint32_t wanted = connection_->wanted();
      const bool readable = wanted == EPOLLIN && has_input();
      if (wanted == EPOLLIN && !readable) break;
      ended_ = connection_->advance(wanted, scratch_, handler_) == Connection::Fate::kEnded;
      const std::size_t before = answers_.size();
      take();
      quiet = answers_.size() == before && wanted == EPOLLOUT ? quiet + 1 : 0;
    }
    take();
  }
  bool has_input() const {
    char byte = 0;
    const ssize_t got = ::recv(connection_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0;
  }
  void take() {
    std::array<std::byte, 4096> buffer{};
    while (const auto got = read_some(client_.get(), buffer)) {
      if (!*got || **got == 0) return;
      answers_.append(reinterpret_cast<const char*>(buffer.data()), **got);
    }
  }

  UniqueFd client_;
  std::optional<Connection> connection_;
  api::http::Handler handler_ = answer;
  std::array<char, 2048> scratch_{};
  std::string answers_;
  bool ended_ = false;
};

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  static const bool quiet = [] {
    log::configure({.level = log::Level::kOff});
    return true;
  }();
  static_cast<void>(quiet);
  if (bytes.size() < 2) return;
  const std::size_t at = bytes[0] * 256U + bytes[1];
  bytes = bytes.subspan(2, std::min(bytes.size() - 2, kMostBytes));
  Talk whole;
  whole.send(bytes);
  Talk cut;
  const std::size_t first = bytes.empty() ? 0 : at % bytes.size();
  cut.send(bytes.first(first));
  cut.send(bytes.subspan(first));
  const std::string answers = whole.end();
  const std::string others = cut.end();
  require(answers.starts_with(others) || others.starts_with(answers),
          "answers do not depend on how bytes arrive");
  require(answers.empty() || answers.starts_with("HTTP/1.1 "), "answers are answers");
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  std::vector<std::string> found;
  for (const char* text :
       {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.0\r\n\r\n",
        "PATCH /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nt: u\r\n\r\n",
        "PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        "PUT /a HTTP/1.1\r\nContent-Length: 65\r\n\r\n", "POST http://h/x HTTP/1.1\r\n\r\n",
        "DELETE /x HTTP/1.1\r\nAccept-Encoding: *;q=0\r\nConnection: close\r\n\r\nhello\r\n\r\n"}) {
    found.push_back("\0\x10"s + text);
  }
  return found;
}

}  // namespace mote::fuzz

// A server with a handler that says what it was asked, and clients of it that wait at most seconds.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "api/http/thread.h"
#include "temp_dir.h"

namespace mote::api::http::test {

class Client {
 public:
  explicit Client(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    connected_ =
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  bool connected() const { return connected_; }
  int fd() const { return socket_.get(); }

  // False: the server has closed the connection.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void half_close() { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_.reset(); }

  // What arrives until it contains `count` times `text`, the connection ends or patience does.
  std::string receive(std::string_view text, int count = 1) {
    std::string got;
    while (times(got, text) < count && more(got, 5000)) {
    }
    return got;
  }
  // What arrives until nothing does for a moment, or the connection ends.
  std::string drain(int milliseconds = 150) {
    std::string got;
    while (more(got, milliseconds)) {
    }
    return got;
  }
  // Whether the server ends the connection within `milliseconds`.
  bool ends(int milliseconds = 5000) {
    std::string rest;
    while (more(rest, milliseconds)) {
    }
    return ended_;
  }

  static int times(std::string_view text, std::string_view part) {
    int found = 0;
    for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
      ++found;
    return found;
  }

 private:
  bool more(std::string& into, int milliseconds) {
    pollfd ready{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, milliseconds) <= 0) return false;
    char buffer[65536];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    ended_ = got <= 0;
    if (got > 0) into.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  }

  UniqueFd socket_;
  bool connected_ = false;
  bool ended_ = false;
};

// Answers `<method> <target> <bytes of the body>`, with what descriptors the request brought;
// /big a large body, /none 204, /old a deprecated 204, /bad 400. /now is answered by another thread
// while the handler waits.
inline Response say_what_was_asked(Request&& request) {
  if (request.target == "/now") {
    std::thread([&request] { request.answer_now({.status = 200, .body = R"("at once")"}); }).join();
    return {};
  }
  if (request.target == "/none") return {};
  if (request.target == "/old") return {.deprecated = true};
  if (request.target == "/big") return {.status = 200, .body = std::string(300'000, 'x')};
  if (request.target == "/bad") return {.status = 400, .body = R"({"fault_message":"no"})"};
  const std::string body =
      fmt::format("\"{} {} {}\"", request.method, request.target, request.body.size());
  return {.status = 200, .body = body, .descriptors = std::move(request.descriptors)};
}

// What is answered to /late, when the test says so.
struct When {
  std::mutex mutex;
  std::move_only_function<void()> tell;
  int forgotten = 0;

  bool is_waited_for() {
    const std::lock_guard lock(mutex);
    return tell != nullptr;
  }
  void there() {
    const std::lock_guard lock(mutex);
    if (auto now = std::exchange(tell, nullptr)) now();
  }
};

class Late final : public LateAnswer {
 public:
  explicit Late(std::shared_ptr<When> when) : when_(std::move(when)) {}
  ~Late() override {
    const std::lock_guard lock(when_->mutex);
    when_->tell = nullptr;
    ++when_->forgotten;
  }
  void when_there(std::move_only_function<void()> tell) override {
    const std::lock_guard lock(when_->mutex);
    when_->tell = std::move(tell);
  }
  Response take() override { return {.status = 200, .body = "\"at last\""}; }

 private:
  std::shared_ptr<When> when_;
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    start({});
  }
  void start(Limits limits) {
    server_.reset();
    path_ = dir_ / fmt::format("api{}.sock", ++starts_);
    auto listener = listen_at(path_);
    ASSERT_TRUE(listener) << listener.error().text();
    auto server = ServerThread::start(std::move(*listener), limits, [this](Request&& request) {
      ++requests_;
      if (request.target == "/late") {
        ++late_;
        return Response{.late = std::make_unique<Late>(when_)};
      }
      return say_what_was_asked(std::move(request));
    });
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
  }
  // One request on a connection of its own: the status line's number; 0: no answer.
  int ask(std::string_view request) {
    Client client(path_);
    client.send(request);
    const std::string answer = client.receive("\r\n\r\n");
    return answer.starts_with("HTTP/1.1 ") ? std::stoi(answer.substr(9)) : 0;
  }

  mote::test::TempDir dir_;
  std::string path_;
  std::atomic<int> requests_ = 0;
  std::atomic<int> late_ = 0;
  std::shared_ptr<When> when_ = std::make_shared<When>();
  std::unique_ptr<ServerThread> server_;
  int starts_ = 0;
};

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\n\r\n";

}  // namespace mote::api::http::test

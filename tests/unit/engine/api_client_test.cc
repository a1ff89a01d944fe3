#include "engine/api_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <thread>

#include "base/unique_fd.h"
#include "temp_dir.h"

namespace mote::engine {
namespace {

using testing::HasSubstr;

TEST(ApiClient, WritesRequests) {
  EXPECT_EQ(*encode({.method = "GET", .path = "/"}),
            "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
  EXPECT_EQ(*encode({.method = "PUT", .path = "/a", .body = "{}"}),
            "PUT /a HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
  for (const auto& [method, path] : {std::pair{"", "/"}, std::pair{"GET", ""},
                                     std::pair{"GET /", "/"}, std::pair{"GET", "/ HTTP/1.1\r\n"}}) {
    EXPECT_FALSE(encode({.method = method, .path = path}));
  }
}

TEST(ApiClient, ReadsAnswers) {
  const auto answer = decode("HTTP/1.1 400 \r\nServer: x\r\ncontent-length: 2\r\n\r\n{}rest");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  EXPECT_EQ(answer->body, "{}");
  const auto empty = decode("HTTP/1.1 100 \r\n\r\nHTTP/1.1 204 \r\nServer: x\r\n\r\n");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->status, 204);
  EXPECT_EQ(empty->body, "");
}

TEST(ApiClient, RefusesWhatIsNoAnswer) {
  for (const char* text : {"", "HTTP/1.1 200 \r\n", "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nab",
                           "SSH-2.0\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 100 \r\n\r\n",
                           "HTTP/1.1 200 \r\nContent-Length: -1\r\n\r\n",
                           "HTTP/1.1 200 \r\nContent-Length: 99999999999999\r\n\r\n"}) {
    EXPECT_FALSE(decode(text)) << text;
  }
}

class AskTest : public testing::Test {
 protected:
  void SetUp() override {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    ASSERT_EQ(::listen(listener_.get(), 1), 0);
  }
  // Answers one client with `pieces`, and closes.
  std::thread answer_with(std::vector<std::string> pieces) {
    return std::thread([this, pieces = std::move(pieces)] {
      const UniqueFd client(::accept(listener_.get(), nullptr, nullptr));
      std::array<char, 4096> request{};
      const ssize_t got = ::read(client.get(), request.data(), request.size());
      asked_.assign(request.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      for (const std::string& piece : pieces) {
        static_cast<void>(write_all(client.get(), std::as_bytes(std::span(piece))));
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
  }

  const mote::test::TempDir dir_;
  const std::string path_ = dir_ / "sock";
  const UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string asked_;
};

TEST_F(AskTest, PutsAnAnswerTogether) {
  auto server = answer_with({"HTTP/1.1 200 \r\nContent-", "Length: 4\r\n\r\n{\"", "\"}"});
  const auto answer = ask({.socket = path_, .method = "GET", .path = "/x"});
  server.join();
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->body, "{\"\"}");
  EXPECT_THAT(asked_, HasSubstr("GET /x HTTP/1.1"));
}

TEST_F(AskTest, SaysThatTheMonitorWentAway) {
  auto server = answer_with({"HTTP/1.1 200 \r\nContent-Length: 4\r\n\r\n{"});
  const auto answer = ask({.socket = path_, .method = "GET", .path = "/"});
  server.join();
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().text(), HasSubstr("before its answer"));
}

TEST_F(AskTest, AMonitorThatGoesAwayBeforeItHasReadAllEndsNobody) {
  auto server = answer_with({});
  const auto answer =
      ask({.socket = path_, .method = "PUT", .path = "/", .body = std::string(16 << 20, 'x')});
  server.join();
  EXPECT_FALSE(answer);
}

TEST(Ask, SaysThatNobodyListens) {
  const mote::test::TempDir dir;
  EXPECT_THAT(ask({.socket = dir / "none", .method = "GET", .path = "/"}).error().text(),
              HasSubstr("connect to"));
  EXPECT_FALSE(ask({.socket = std::string(200, 'a'), .method = "GET", .path = "/"}));
}

}  // namespace
}  // namespace mote::engine

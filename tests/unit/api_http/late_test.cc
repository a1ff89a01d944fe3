// Answers that come late: the client's next requests wait, nobody else does.
#include <sys/socket.h>

#include <thread>

#include "fixture.h"

namespace mote::api::http::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kLate = "PUT /late HTTP/1.1\r\nContent-Length: 0\r\n\r\n";

class LateAnswers : public ServerTest {
 protected:
  void wait_until(const std::function<bool()>& holds) {
    for (int tries = 0; tries < 2000 && !holds(); ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(holds());
  }
  void wait_until_late() {
    wait_until([this] { return when_->is_waited_for(); });
  }
};

TEST_F(LateAnswers, KeepNobodyElseWaiting) {
  Client client(path_);
  client.send(kLate);
  wait_until_late();
  EXPECT_EQ(ask(kGet), 200);
  EXPECT_EQ(ask(kGet), 200);
  when_->there();
  EXPECT_THAT(client.receive("at last"), StartsWith("HTTP/1.1 200 "));
  client.send(kGet);
  EXPECT_THAT(client.receive("GET / 0"), HasSubstr("\"GET / 0\""));
}

TEST_F(LateAnswers, ComeBeforeThoseToRequestsBehindThem) {
  Client client(path_);
  client.send("GET /first HTTP/1.1\r\n\r\n" + std::string(kLate) + std::string(kLate) +
              "GET /last HTTP/1.1\r\n\r\n");
  wait_until_late();
  EXPECT_EQ(late_, 1) << "one after the other";
  when_->there();
  wait_until([this] { return late_ == 2 && when_->is_waited_for(); });
  client.send("GET /behind HTTP/1.1\r\n\r\n");
  when_->there();
  const std::string answers = client.receive("GET /behind 0");
  const auto first = answers.find("GET /first 0");
  const auto late = answers.find("at last");
  const auto again = answers.find("at last", late + 1);
  const auto last = answers.find("GET /last 0");
  EXPECT_LT(first, late);
  EXPECT_LT(late, again);
  EXPECT_LT(again, last);
  EXPECT_LT(last, answers.find("GET /behind 0"));
}

TEST_F(LateAnswers, AreForgottenWithTheirClient) {
  {
    Client client(path_);
    client.send(kLate);
    wait_until_late();
  }
  wait_until([this] {
    const std::lock_guard lock(when_->mutex);
    return when_->forgotten == 1;
  });
  when_->there();
  EXPECT_EQ(ask(kGet), 200);
}

TEST_F(LateAnswers, AreGivenToAClientThatSendsNoMore) {
  Client client(path_);
  client.send(kLate);
  ASSERT_EQ(::shutdown(client.fd(), SHUT_WR), 0);
  wait_until_late();
  when_->there();
  EXPECT_THAT(client.receive("at last"), HasSubstr("at last"));
}

TEST_F(LateAnswers, AreWaitedForWhereOthersMakeRoom) {
  start({.connections = 2});
  Client client(path_);
  client.send(kLate);
  wait_until_late();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask(kGet), 200);
  Client other(path_);
  other.send(kGet);
  EXPECT_THAT(other.receive("GET / 0"), StartsWith("HTTP/1.1 200 "));
  when_->there();
  EXPECT_THAT(client.receive("at last"), HasSubstr("at last"));
}

TEST_F(LateAnswers, AreForgottenWithTheServer) {
  Client client(path_);
  client.send(kLate);
  wait_until_late();
  server_.reset();
  when_->there();
  EXPECT_EQ(when_->forgotten, 1);
}

}  // namespace
}  // namespace mote::api::http::test

#include <sys/stat.h>

#include "fixture.h"

namespace mote::api::http::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(ServerTest, AnswersOneRequestAfterTheOtherOnAConnection) {
  Client client(path_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(client.receive("GET /a 0"), StartsWith("HTTP/1.1 200 \r\nServer: "));
  }
}

TEST_F(ServerTest, KeepsTheConnectionWhateverTheClientWantsOfIt) {
  for (const char* request :
       {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"}) {
    Client client(path_);
    client.send(request);
    EXPECT_THAT(client.receive("GET / 0"), HasSubstr("Connection: keep-alive"));
    client.send(kGet);
    EXPECT_THAT(client.receive("GET / 0"), StartsWith("HTTP/1.1 200 "));
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInTheirOrder) {
  Client client(path_);
  std::string requests;
  for (int i = 0; i < 100; ++i)
    requests += fmt::format("PUT /{} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{}", i, i % 7,
                            std::string(static_cast<std::size_t>(i % 7), 'x'));
  client.send(requests);
  const std::string answers = client.receive("\"PUT /", 100);
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {
    at = answers.find(fmt::format("\"PUT /{} {}\"", i, i % 7), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(ServerTest, AnswersWhatCameBeforeGarbage) {
  Client client(path_);
  client.send(std::string(kGet) + "garbage\r\n\r\n");
  const std::string answers = client.receive("HTTP/1.1 400 ");
  EXPECT_THAT(answers, StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, SaysContinueAndThenTheAnswer) {
  Client client(path_);
  client.send("PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.receive("\r\n\r\n"),
            "HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
  client.send("abc");
  EXPECT_THAT(client.receive("PUT /x 3"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, ReadsBodiesUpToTheLimit) {
  Client client(path_);
  const std::string body(51200, 'a');
  client.send("PUT /x HTTP/1.1\r\nContent-Length: 51200\r\n\r\n" + body);
  EXPECT_THAT(client.receive("PUT /x 51200"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, AnswersAnOversizedBodyOnceAndTakesNothingOfItForARequest) {
  Client client(path_);
  std::string body;
  while (body.size() < 60'000) body += kGet;
  EXPECT_TRUE(client.send(
      fmt::format("PUT /x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{}", body.size(), body)));
  const std::string answers = client.drain(1500);
  EXPECT_EQ(Client::times(answers, "HTTP/1.1 400 "), 1);
  EXPECT_EQ(Client::times(answers, "HTTP/1.1 "), 1);
  EXPECT_THAT(answers, HasSubstr("Connection: close"));
  EXPECT_THAT(answers, HasSubstr("--http-api-max-payload-size"));
  EXPECT_EQ(requests_, 0);
  EXPECT_TRUE(client.ends());
}

TEST_F(ServerTest, HonoursItsBodyLimit) {
  start({.body = 10});
  EXPECT_EQ(ask("PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789"), 200);
  EXPECT_EQ(ask("PUT / HTTP/1.1\r\nContent-Length: 11\r\n\r\n"), 400);
}

TEST_F(ServerTest, GivesAnswersOfAllKinds) {
  Client client(path_);
  client.send("GET /none HTTP/1.1\r\n\r\nGET /old HTTP/1.1\r\n\r\nGET /bad HTTP/1.1\r\n\r\n");
  const std::string answers = client.receive("fault_message");
  EXPECT_EQ(
      answers,
      "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"
      "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
      "Deprecation: true\r\n\r\n"
      "HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
      "Content-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"fault_message\":\"no\"}");
}

TEST_F(ServerTest, GivesWhatAnotherThreadAnswersInItsTurn) {
  Client client(path_);
  client.send("GET /now HTTP/1.1\r\n\r\n");
  EXPECT_THAT(client.receive("at once"), StartsWith("HTTP/1.1 200 "));
  client.send("GET /a HTTP/1.1\r\n\r\nGET /now HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
  const std::string answers = client.receive("GET /b 0");
  EXPECT_LT(answers.find("GET /a 0"), answers.find("at once"));
  EXPECT_LT(answers.find("at once"), answers.find("GET /b 0"));
  EXPECT_EQ(Client::times(answers, "HTTP/1.1 "), 3);
}

TEST_F(ServerTest, OutlivesAClientWhoDoesNotWaitForWhatAnotherThreadAnswers) {
  for (int i = 0; i < 20; ++i) {
    Client client(path_);
    client.send("GET /now HTTP/1.1\r\n\r\n");
    client.close();
  }
  EXPECT_EQ(ask(std::string(kGet)), 200);
}

TEST_F(ServerTest, AnswersWhoClosesItsSide) {
  Client client(path_);
  client.send(std::string(kGet) + std::string(kGet));
  client.half_close();
  EXPECT_EQ(Client::times(client.drain(), "\"GET / 0\""), 2);
  EXPECT_TRUE(client.ends());
}

TEST_F(ServerTest, EndsConnectionsThatEndMidway) {
  for (const char* part : {"", "GET /mach", "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"}) {
    Client client(path_);
    client.send(part);
    client.half_close();
    EXPECT_EQ(client.drain(2000), "") << part;
    EXPECT_TRUE(client.ends()) << part;
  }
  EXPECT_EQ(requests_, 0);
}

TEST(ListenAt, RefusesWhatIsThere) {
  const mote::test::TempDir dir;
  const std::string file = dir.write("file", "x");
  const auto there = listen_at(file);
  ASSERT_FALSE(there);
  EXPECT_THAT(there.error().text(), HasSubstr("something is there already"));
  EXPECT_EQ(dir.read("file"), "x");
  ASSERT_TRUE(listen_at(dir / "sock"));
  EXPECT_FALSE(listen_at(dir / "sock")) << "although nobody listens";
}

TEST(ListenAt, RefusesPathsThatCannotBe) {
  const mote::test::TempDir dir;
  EXPECT_FALSE(listen_at(""));
  EXPECT_FALSE(listen_at(dir / "no/sock"));
  EXPECT_FALSE(listen_at(dir / std::string(120, 'a')));
  EXPECT_TRUE(listen_at(dir / std::string(107 - dir.path().size() - 1, 'a')));
}

TEST(ListenAt, LeavesRightsToTheUmask) {
  const mote::test::TempDir dir;
  for (const auto& [mask, rights] :
       {std::pair{022U, 0755U}, std::pair{077U, 0700U}, std::pair{0U, 0777U}}) {
    const mode_t before = ::umask(mask);
    const std::string path = dir / fmt::format("{:o}", mask);
    const auto socket = listen_at(path);
    ::umask(before);
    ASSERT_TRUE(socket);
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, rights);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
  }
}

}  // namespace
}  // namespace mote::api::http::test

// Clients that are slow, silent, many, gone or out of their minds, and one beside them that is none
// of it.
#include <sys/resource.h>

#include <deque>
#include <random>
#include <thread>

#include "fixture.h"

namespace mote::api::http::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(ServerTest, AThousandSilentClientsKeepNobodyOut) {
  // Of our own descriptors: the test has the clients' as well as the server's.
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  std::deque<Client> silent;
  for (int i = 0; i < 1000; ++i) {
    silent.emplace_back(path_);
    ASSERT_TRUE(silent.back().connected()) << i;
  }
  EXPECT_EQ(ask(kGet), 200);
}

TEST_F(ServerTest, WhoWasSilentForLongestMakesRoom) {
  start({.connections = 3});
  Client busy(path_);
  Client silent(path_);
  Client midway(path_);
  midway.send("GET /");
  busy.send(kGet);
  busy.receive("GET / 0");
  Client newcomer(path_);
  newcomer.send(kGet);
  EXPECT_THAT(newcomer.receive("GET / 0"), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(silent.ends());
  busy.send(kGet);
  EXPECT_THAT(busy.receive("GET / 0"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, SlowClientsAreServedAndCostOthersNothing) {
  Client slow(path_);
  const std::string request = "PUT /slow HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcd";
  for (const char c : request) {
    slow.send(std::string_view(&c, 1));
    EXPECT_EQ(ask(kGet), 200);
  }
  EXPECT_THAT(slow.receive("PUT /slow 4"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ServerTest, WhoDoesNotTakeItsAnswersIsNotListenedTo) {
  Client deaf(path_);
  std::string requests;
  for (int i = 0; i < 50; ++i) requests += "GET /big HTTP/1.1\r\n\r\n";
  deaf.send(requests);
  EXPECT_EQ(ask(kGet), 200);
  std::this_thread::sleep_for(100ms);
  EXPECT_LT(requests_, 30) << "answers that nobody takes are not made in advance";
  EXPECT_EQ(Client::times(deaf.receive("HTTP/1.1 200", 50), "HTTP/1.1 200"), 50);
}

TEST_F(ServerTest, ClientsThatGoLeaveNothing) {
  for (int i = 0; i < 200; ++i) {
    Client client(path_);
    client.send(i % 2 == 0 ? std::string_view("PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")
                           : std::string_view("GET /big HTTP/1.1\r\n\r\n"));
  }
  EXPECT_EQ(ask(kGet), 200);
}

TEST_F(ServerTest, AnswersGarbageOnceAndEndsTheConnection) {
  Client client(path_);
  client.send("garbage\r\n\r\n");
  const std::string answer = client.receive("}");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: close"));
  EXPECT_THAT(answer, HasSubstr("\"fault_message\""));
  // What follows could be anything.
  client.send(kGet);
  EXPECT_EQ(client.drain(100), "");
  EXPECT_TRUE(client.ends(5000));
  EXPECT_EQ(requests_, 0);
}

TEST_F(ServerTest, WhoGoesOnSendingGarbageIsCutOff) {
  Client client(path_);
  client.send("garbage\r\n\r\n");
  const auto start = std::chrono::steady_clock::now();
  while (client.send(std::string(4096, 'x')) && std::chrono::steady_clock::now() - start < 10s) {
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(ServerTest, AnswersEveryTruncationWithNothing) {
  const std::string request =
      "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Type: "
      "application/json\r\n\r\nhello";
  for (std::size_t size = 0; size < request.size(); ++size) {
    Client client(path_);
    client.send(request.substr(0, size));
    client.half_close();
    EXPECT_EQ(client.drain(3000), "") << size;
  }
  EXPECT_EQ(requests_, 0);
}

TEST_F(ServerTest, SurvivesWhatRandomBytesSay) {
  std::mt19937 random(7);
  const std::string_view words[] = {"GET ",
                                    "PUT ",
                                    "/",
                                    " HTTP/1.1",
                                    "\r\n",
                                    "\r\n\r\n",
                                    ":",
                                    "Content-Length: ",
                                    "Transfer-Encoding: chunked\r\n",
                                    "5",
                                    "\n",
                                    std::string_view("\0", 1),
                                    "\xff",
                                    " ",
                                    "Expect: 100-continue\r\n"};
  for (int i = 0; i < 500; ++i) {
    Client client(path_);
    std::string text;
    for (unsigned n = random() % 30; n > 0; --n) text += words[random() % std::size(words)];
    client.send(text);
  }
  EXPECT_EQ(ask(kGet), 200);
}

TEST_F(ServerTest, WaitsForDescriptorsWhenThereAreNone) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  Client waiting(path_);
  waiting.send(kGet);
  ASSERT_THAT(waiting.receive("GET / 0"), StartsWith("HTTP/1.1 200 "));
  Client next(path_);
  std::deque<Client> more;
  // None is left for the server but what it frees itself.
  UniqueFd probe(::dup(0));
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(probe.get());
  probe.reset();
  ::setrlimit(RLIMIT_NOFILE, &tight);
  next.send(kGet);
  const std::string answer = next.receive("GET / 0");
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace mote::api::http::test

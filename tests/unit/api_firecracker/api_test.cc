// Api: which thread answers what, and what is noted of it.
#include "api/firecracker/api.h"

#include <gmock/gmock.h>

#include <latch>
#include <mutex>
#include <thread>

#include "api_firecracker/api_fixture.h"

namespace mote::api::firecracker::test {
namespace {

using testing::HasSubstr;

class ApiThreads : public ApiTest {
 protected:
  // `response`, or what it is late for.
  static http::Response settled(http::Response response) {
    if (!response.late) return response;
    std::latch there(1);
    response.late->when_there([&] { there.count_down(); });
    there.wait();
    return response.late->take();
  }
  // What a client is answered whom the test's thread, as the machine thread, serves.
  http::Response serve(http::Request request) {
    http::Response response;
    std::thread client([&] {
      response = settled(api.handle(std::move(request)));
      loop->stop();
    });
    EXPECT_TRUE(loop->run());
    client.join();
    return response;
  }

  RequestLatencies& latencies() { return controller->metrics().counts.latencies_us; }

  Api api{*loop, *controller};
};

TEST_F(ApiThreads, LookUpsDoNotWaitForTheMachineThread) {
  // Nobody runs its loop.
  EXPECT_THAT(api.handle({.method = "GET", .target = "/"}).body, HasSubstr("Not started"));
  EXPECT_THAT(api.handle({.method = "GET", .target = "/version"}).body, HasSubstr("9.8.7"));
  EXPECT_EQ(api.handle({.method = "GET", .target = "/", .body = "{}"}).status, 400);
  start();
  EXPECT_THAT(api.handle({.method = "GET", .target = "/"}).body, HasSubstr("Running"));
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  EXPECT_THAT(api.handle({.method = "GET", .target = "/"}).body, HasSubstr("Paused"));
  EXPECT_EQ(patch("/vm", R"({"state":"Resumed"})"), 204);
  EXPECT_THAT(api.handle({.method = "GET", .target = "/"}).body, HasSubstr("Running"));
}

TEST_F(ApiThreads, TheRestIsDoneOnTheMachineThread) {
  EXPECT_EQ(serve({.method = "PUT", .target = "/balloon", .body = R"({"amount_mib":1,
                   "deflate_on_oom":false})"})
                .status,
            204);
  EXPECT_THAT(serve({.method = "GET", .target = "/balloon"}).body, HasSubstr(R"("amount_mib":1)"));
}

TEST_F(ApiThreads, WhoeverWaitsWhenTheLoopEndsIsAnswered) {
  loop->close();
  const http::Response response = api.handle({.method = "GET", .target = "/vm/config"});
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("the microVM has ended"));
}

TEST_F(ApiThreads, WhatTakesLongIsAnsweredLate) {
  // Nobody runs the loop yet.
  http::Response response = api.handle({.method = "GET", .target = "/vm/config"});
  http::Response forgotten = api.handle({.method = "GET", .target = "/vm/config"});
  ASSERT_TRUE(response.late && forgotten.late);
  int told = 0;
  response.late->when_there([&] { ++told; });
  forgotten.late->when_there([&] { told += 10; });
  EXPECT_EQ(told, 0);
  forgotten.late.reset();
  EXPECT_TRUE(*loop->run_once(0));
  EXPECT_EQ(told, 1);
  const http::Response late = response.late->take();
  EXPECT_EQ(late.status, 200);
  EXPECT_THAT(late.body, HasSubstr("machine-config"));
  EXPECT_THAT(api.handle({.method = "GET", .target = "/"}).body, HasSubstr("Not started"));
}

TEST_F(ApiThreads, WhoHasAMachineRunIsAnsweredBeforeItDoes) {
  start();
  EXPECT_EQ(fake().let_go_times, 1);
  int answers = 0;
  int answers_when_let_go = -1;
  fake().when_let_go = [&] { answers_when_let_go = answers; };
  const auto vm = [&](const char* body) {
    return http::Request{.method = "PATCH",
                         .target = "/vm",
                         .body = body,
                         .answer_now = [&](http::Response&& given) {
                           EXPECT_EQ(given.status, 204);
                           ++answers;
                         }};
  };
  // What is not waited for otherwise is answered as ever.
  EXPECT_EQ(serve(vm(R"({"state":"Paused"})")).status, 204);
  EXPECT_EQ(answers, 0);
  EXPECT_EQ(serve(vm(R"({"state":"Sleeping"})")).status, 400);
  EXPECT_EQ(fake().let_go_times, 1);
  serve(vm(R"({"state":"Resumed"})"));
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(answers_when_let_go, 1);
  EXPECT_EQ(fake().let_go_times, 2);
  EXPECT_THAT(get("/"), HasSubstr("Running"));
  // It runs already.
  EXPECT_EQ(serve(vm(R"({"state":"Resumed"})")).status, 204);
  EXPECT_EQ(fake().let_go_times, 2);
}

TEST_F(ApiThreads, AMachineRunsAlsoWhereNobodyWaitsForTheAnswer) {
  start();
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  int answers = 0;
  // Nobody runs the loop until this has waited long enough.
  http::Response response = api.handle({.method = "PATCH",
                                        .target = "/vm",
                                        .body = R"({"state":"Resumed"})",
                                        .answer_now = [&](http::Response&&) { ++answers; }});
  ASSERT_TRUE(response.late);
  EXPECT_TRUE(*loop->run_once(0));
  EXPECT_EQ(response.late->take().status, 204);
  EXPECT_EQ(answers, 0);
  EXPECT_EQ(fake().let_go_times, 2);
}

TEST_F(ApiThreads, APauseIsTimedWhenItIsDone) {
  constexpr std::uint64_t kUntouched = UINT64_MAX;
  latencies().pause_vm = kUntouched;
  latencies().resume_vm = kUntouched;
  const auto pause = [] {
    return http::Request{.method = "PATCH", .target = "/vm", .body = R"({"state":"Paused"})"};
  };
  EXPECT_EQ(serve(pause()).status, 400);
  EXPECT_EQ(latencies().pause_vm, kUntouched);
  start();
  EXPECT_EQ(serve(pause()).status, 204);
  EXPECT_LT(latencies().pause_vm, kUntouched);
  EXPECT_EQ(latencies().resume_vm, kUntouched);
  EXPECT_EQ(serve({.method = "PATCH", .target = "/vm", .body = R"({"state":"Resumed"})"}).status,
            204);
  EXPECT_LT(latencies().resume_vm, kUntouched);
}

// While a snapshot is made.
class ApiMeanwhile : public ApiThreads {
 protected:
  struct Asked {
    std::string method;
    std::string target;
    std::string body;
  };

  ApiMeanwhile() {
    start();
    EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  }
  FakeMachine& machine() { return *static_cast<FakeMachine*>(controller->machine()); }
  // Asks for a snapshot, and for `others` once it is under way; their statuses, in the order in
  // which they were answered.
  std::vector<std::string> ask_meanwhile(const std::vector<Asked>& others) {
    std::vector<std::string> answered;
    std::mutex mutex;
    std::vector<std::thread> clients;
    const auto ask = [&](const Asked& asked) {
      const int status =
          settled(api.handle({.method = asked.method, .target = asked.target, .body = asked.body}))
              .status;
      const std::lock_guard lock(mutex);
      answered.push_back(fmt::format("{} {} {}", asked.method, asked.target, status));
      if (answered.size() == others.size() + 1) loop->stop();
    };
    machine().between_pieces = [&] {
      if (!clients.empty()) return;
      for (const Asked& other : others) {
        clients.emplace_back(ask, other);
        // Until it is answered, or has been put off.
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
        while (std::chrono::steady_clock::now() < until) {
          EXPECT_TRUE(loop->run_once(10));
        }
      }
    };
    std::thread client(
        ask, Asked{"PUT", "/snapshot/create", R"({"snapshot_path":"/s","mem_file_path":"/m"})"});
    EXPECT_TRUE(loop->run());
    client.join();
    for (std::thread& other : clients) other.join();
    return answered;
  }
};

TEST_F(ApiMeanwhile, OthersAreAnswered) {
  EXPECT_EQ(
      ask_meanwhile(
          {{"GET", "/vm/config", ""}, {"PUT", "/mmds", R"({"a":1})"}, {"PUT", "/fork", "{}"}}),
      (std::vector<std::string>{"GET /vm/config 200", "PUT /mmds 204", "PUT /fork 400",
                                "PUT /snapshot/create 204"}));
}

TEST_F(ApiMeanwhile, WhatNeedsTheMachineWaits) {
  const auto answered = ask_meanwhile(
      {{"PATCH", "/vm", R"({"state":"Resumed"})"},
       {"PUT", "/snapshot/create", R"({"snapshot_path":"/s2","mem_file_path":"/m2"})"}});
  ASSERT_EQ(answered.size(), 3U);
  EXPECT_EQ(machine().runs, 2);
  // The second snapshot was asked for when the machine ran again.
  EXPECT_EQ(machine().saved.size(), 1U);
  EXPECT_THAT(answered, testing::UnorderedElementsAre("PUT /snapshot/create 204", "PATCH /vm 204",
                                                      "PUT /snapshot/create 400"));
}

TEST_F(ApiMeanwhile, TheEndOfTheLoopEndsIt) {
  machine().between_pieces = [&] { loop->stop(); };
  std::thread client([&] {
    const http::Response response =
        settled(api.handle({.method = "PUT",
                            .target = "/snapshot/create",
                            .body = R"({"snapshot_path":"/s","mem_file_path":"/m"})"}));
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(response.body, HasSubstr("the microVM has ended"));
  });
  EXPECT_TRUE(loop->run());
  client.join();
  EXPECT_TRUE(machine().saved.empty());
}

}  // namespace
}  // namespace mote::api::firecracker::test

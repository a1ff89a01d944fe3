// Api: which thread answers what, and what is noted of it.
#include "api/firecracker/api.h"

#include <gmock/gmock.h>

#include <thread>

#include "api_firecracker/api_fixture.h"

namespace mote::api::firecracker::test {
namespace {

using testing::HasSubstr;

class ApiThreads : public ApiTest {
 protected:
  // What a client is answered whom the test's thread, as the machine thread, serves.
  http::Response serve(http::Request request) {
    http::Response response;
    std::thread client([&] {
      response = api.handle(std::move(request));
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

}  // namespace
}  // namespace mote::api::firecracker::test

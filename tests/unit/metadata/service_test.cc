// The service as an HTTP client meets it: every status, tokens, forms, and requests that are none.
#include "metadata/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json_describe.h"
#include "metadata/tcp_peer.h"

namespace mote::metadata {
namespace {

using namespace std::string_literals;
using test::get;
using test::Stage;
using test::take_body;
using testing::HasSubstr;

const MmdsConfig kV2{.version = Version::V2, .network_interfaces = {"eth0"}};
constexpr const char* kData = R"({"latest":{"meta-data":{"ami-id":"ami-1","n":1}}})";
constexpr const char* kPath = "/latest/meta-data/ami-id";

// The one response to a whole request; its body is left.
std::string ask(Stage& stage, std::string_view request, unsigned status) {
  const Service::Turn turn = stage.service.serve(request);
  EXPECT_EQ(turn.taken, request.size());
  std::string response = turn.response;
  std::string body = take_body(response, status);
  EXPECT_EQ(response, "");
  return body;
}
std::string token_request(std::string_view headers) {
  return fmt::format("PUT /latest/api/token HTTP/1.1\r\n{}\r\n", headers);
}
std::string token_of(Stage& stage, std::string_view life = "60") {
  return ask(stage, token_request(fmt::format("X-metadata-token-ttl-seconds: {}\r\n", life)), 200);
}
std::string with_token(std::string_view token) {
  return fmt::format("X-metadata-token: {}\r\n", token);
}

TEST(MetadataService, GivesDataToWhoeverAsksInVersion1) {
  Stage stage;
  EXPECT_EQ(ask(stage, get(kPath), 200), "ami-1");
  EXPECT_EQ(stage.metrics.rx_no_token, 1U);
  EXPECT_EQ(ask(stage, get(kPath, with_token("x")), 200), "ami-1");
  EXPECT_EQ(stage.metrics.rx_invalid_token, 1U);
  const std::string token = token_of(stage);
  EXPECT_EQ(ask(stage, get(kPath, with_token(token)), 200), "ami-1");
  EXPECT_EQ(stage.metrics.rx_no_token, 1U);
  EXPECT_EQ(stage.metrics.rx_invalid_token, 1U);
}

TEST(MetadataService, WantsATokenInVersion2) {
  Stage stage(kData, kV2);
  EXPECT_THAT(ask(stage, get(kPath), 401), HasSubstr("X-metadata-token is missing"));
  EXPECT_EQ(stage.metrics.rx_no_token, 1U);
  for (const char* forged :
       {"", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_THAT(ask(stage, get(kPath, with_token(forged)), 401), HasSubstr("none of this service"));
  }
  EXPECT_EQ(stage.metrics.rx_invalid_token, 3U);
  const std::string token = token_of(stage);
  EXPECT_EQ(ask(stage, get(kPath, with_token(token)), 200), "ami-1");
  EXPECT_EQ(ask(stage, get(kPath, fmt::format("x-AWS-ec2-Metadata-TOKEN: {}\r\n", token)), 200),
            "ami-1");
  stage.time += std::chrono::seconds(60);
  EXPECT_THAT(ask(stage, get(kPath, with_token(token)), 401), HasSubstr("its time is over"));
}

TEST(MetadataService, GivesNothingForATokenOfAnotherMicrovm) {
  Stage mine(kData, kV2);
  Stage other(kData, kV2);
  const std::string token = token_of(other);
  token_of(mine);
  ask(mine, get(kPath, with_token(token)), 401);
  EXPECT_EQ(ask(other, get(kPath, with_token(token)), 200), "ami-1");
}

TEST(MetadataService, TakesNoTokenThatIsGivenTwice) {
  Stage stage(kData, kV2);
  const std::string token = token_of(stage);
  ask(stage, get(kPath, with_token(token) + with_token("x")), 401);
  ask(stage, get(kPath, with_token("x") + with_token(token)), 401);
  ask(stage, get(kPath, with_token(token) + fmt::format("X-aws-ec2-metadata-token: x\r\n")), 401);
  EXPECT_EQ(ask(stage, get(kPath, with_token(token) + with_token(token)), 200), "ami-1");
}

TEST(MetadataService, MakesTokensOfTheLifeThatIsAskedFor) {
  Stage stage(kData, kV2);
  for (const char* life : {"1", "21600", "0060"}) EXPECT_EQ(token_of(stage, life).size(), 64U);
  const auto aws =
      stage.service.serve(token_request("X-aws-ec2-metadata-token-ttl-seconds: 5\r\n"));
  EXPECT_THAT(aws.response, HasSubstr("\r\nX-aws-ec2-metadata-token-ttl-seconds: 5\r\n"));
  for (const char* life : {"0", "21601", "-1", "+5", "5s", "", "1.5", "4294967297", "5 5"}) {
    ask(stage, token_request(fmt::format("X-metadata-token-ttl-seconds: {}\r\n", life)), 400);
  }
  EXPECT_THAT(ask(stage, token_request(""), 400), HasSubstr("ttl-seconds is missing"));
  ask(stage,
      token_request("X-metadata-token-ttl-seconds: 5\r\nX-metadata-token-ttl-seconds: 6\r\n"), 400);
  ask(stage, token_request("X-metadata-token-ttl-seconds: 5\r\nx-forwarded-for: 1.2.3.4\r\n"), 400);
}

TEST(MetadataService, PutsNothingButTokens) {
  Stage stage(kData, kV2);
  const std::string life = "X-metadata-token-ttl-seconds: 5\r\n";
  for (const char* path : {"/latest/api/token/", "//latest//api/token"}) {
    ask(stage, fmt::format("PUT {} HTTP/1.1\r\n{}\r\n", path, life), 200);
  }
  for (const char* path : {"/", "/latest/api", "/latest/api/tokens", "/latest/meta-data/ami-id"}) {
    ask(stage, fmt::format("PUT {} HTTP/1.1\r\n{}\r\n", path, life), 404);
  }
  EXPECT_EQ(stage.store.text(), kData);
}

TEST(MetadataService, GivesJsonToWhoAcceptsIt) {
  Stage stage;
  EXPECT_EQ(ask(stage, get(kPath, "Accept: application/json\r\n"), 200), "\"ami-1\"");
  EXPECT_EQ(ask(stage, get("/latest/meta-data/n", "accept: application/json\r\n"), 200), "1");
  for (const char* accept : {"*/*", "text/plain", "application/json, text/plain", "x"}) {
    EXPECT_EQ(ask(stage, get(kPath, fmt::format("Accept: {}\r\n", accept)), 200), "ami-1");
  }
  const auto json = stage.service.serve(get("/", "Accept: application/json\r\n"));
  EXPECT_THAT(json.response, HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(stage.service.serve(get("/")).response,
              HasSubstr("\r\nContent-Type: text/plain\r\n"));
}

TEST(MetadataService, GivesTextAlwaysWhereItIsToBeAsImds) {
  Stage stage(kData, {.network_interfaces = {"eth0"}, .imds_compat = true});
  EXPECT_EQ(ask(stage, get(kPath, "Accept: application/json\r\n"), 200), "ami-1");
  ask(stage, get("/latest/meta-data/n", "Accept: application/json\r\n"), 501);
}

TEST(MetadataService, SaysWhatIsNotThereAndWhatHasNoText) {
  Stage stage;
  ask(stage, get("/none"), 404);
  ask(stage, get("/latest?x"), 404);
  ask(stage, get("/latest/meta-data/n"), 501);
  ask(stage, get("/none", "Accept: application/json\r\n"), 404);
}

TEST(MetadataService, GivesDataAsTheyAreNow) {
  Stage stage;
  ASSERT_TRUE(stage.store.patch(R"({"latest":{"meta-data":{"ami-id":null,"new":"yes"}}})"));
  ask(stage, get(kPath), 404);
  EXPECT_EQ(ask(stage, get("/latest/meta-data/new"), 200), "yes");
  ASSERT_TRUE(stage.store.put("{}"));
  ask(stage, get("/latest"), 404);
}

TEST(MetadataService, AllowsTwoMethods) {
  Stage stage;
  for (const char* method : {"POST", "PATCH", "DELETE", "OPTIONS", "TRACE"}) {
    const auto turn = stage.service.serve(fmt::format("{} / HTTP/1.1\r\n\r\n", method));
    EXPECT_THAT(turn.response, HasSubstr("HTTP/1.1 405 ")) << method;
    EXPECT_THAT(turn.response, HasSubstr("\r\nAllow: GET, PUT\r\n"));
    EXPECT_FALSE(turn.close);
  }
  for (const char* method : {"BREW", "get", "Put"}) {
    ask(stage, fmt::format("{} / HTTP/1.1\r\n\r\n", method), 501);
  }
  const auto head = stage.service.serve("HEAD / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(head.response, HasSubstr("HTTP/1.1 405 "));
  EXPECT_TRUE(head.response.ends_with("\r\n\r\n")) << "it has no body";
}

TEST(MetadataService, TakesAbsoluteTargets) {
  Stage stage;
  EXPECT_EQ(ask(stage, get("http://169.254.169.254/latest/meta-data/ami-id"), 200), "ami-1");
  EXPECT_EQ(ask(stage, get("HTTP://x"), 200), "latest/");
  ask(stage, get("x"), 400);
  ask(stage, get("*"), 400);
}

TEST(MetadataService, KeepsConnectionsAsTheyWant) {
  Stage stage;
  const auto closes = [&](std::string_view request) { return stage.service.serve(request).close; };
  EXPECT_FALSE(closes("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(closes("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
  EXPECT_TRUE(closes("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_FALSE(closes("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_THAT(stage.service.serve("GET / HTTP/1.0\r\n\r\n").response,
              HasSubstr("\r\nConnection: close\r\n"));
}

TEST(MetadataService, TakesRequestsOneByOneAndAsTheyCome) {
  Stage stage;
  const std::string request = get(kPath);
  for (std::size_t length = 0; length < request.size(); ++length) {
    EXPECT_EQ(stage.service.serve(request.substr(0, length)).taken, 0U) << length;
  }
  const auto turn = stage.service.serve("\r\n\r\n" + request + request + "GET");
  EXPECT_EQ(turn.taken, request.size() + 4);
}

TEST(MetadataService, SkipsBodiesAndWaitsForThem) {
  Stage stage;
  const std::string request = "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
  ask(stage, request, 200);
  EXPECT_EQ(stage.service.serve(request.substr(0, request.size() - 1)).taken, 0U);
  ask(stage, token_request("Content-Length: 0\r\nX-metadata-token-ttl-seconds: 5\r\n"), 200);
}

TEST(MetadataService, RefusesWhatIsNoHttpAndHearsNoMoreOfIt) {
  Stage stage;
  const auto refused = [&](std::string_view request, unsigned status) {
    const auto turn = stage.service.serve(request);
    EXPECT_EQ(turn.taken, request.size());
    EXPECT_TRUE(turn.close) << request;
    EXPECT_TRUE(turn.response.starts_with(fmt::format("HTTP/1.1 {} ", status))) << turn.response;
  };
  refused("nonsense\r\n\r\n", 400);
  refused("GET /\r\n\r\n", 400);
  refused("GET / HTTP/2.0\r\n\r\n", 501);
  refused("GET / HTTP/0.9\r\n\r\n", 501);
  refused("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400);
  refused("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400);
  refused("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400);
  refused("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400);
  refused("GET / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n", 400);
  refused("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400);
  refused("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501);
  refused("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n"s, 400);
  refused("GET /\0 HTTP/1.1\r\n\r\n"s, 400);
}

TEST(MetadataService, BearsARequestOf8KibAndNoMore) {
  Stage stage;
  const std::string frame = get(kPath, "X: \r\n");
  std::string request = get(kPath, "X: " + std::string(kMostRequest - frame.size(), 'x') + "\r\n");
  ASSERT_EQ(request.size(), kMostRequest);
  EXPECT_EQ(ask(stage, request, 200), "ami-1");
  const std::string endless = "GET / HTTP/1.1\r\nX: " + std::string(kMostRequest, 'x');
  EXPECT_EQ(stage.service.serve(endless.substr(0, kMostRequest - 1)).taken, 0U);
  for (const std::string& full :
       {endless.substr(0, kMostRequest), std::string(kMostRequest, '\n'),
        std::string(kMostRequest, 'x'), std::string(kMostRequest, '\0')}) {
    const auto turn = stage.service.serve(full);
    EXPECT_EQ(turn.taken, kMostRequest);
    EXPECT_TRUE(turn.close);
    EXPECT_TRUE(turn.response.starts_with("HTTP/1.1 400 ")) << turn.response;
  }
}

TEST(MetadataService, KeepsItsConfigurationAndNotItsSecrets) {
  Stage stage(kData, kV2);
  const std::string token = token_of(stage);
  const auto saved = json::write(stage.service.save());
  EXPECT_EQ(saved.find("ami"), std::string::npos);
  const auto state = json::read<ServiceState>(saved);
  ASSERT_TRUE(state);
  const Store empty;
  MmdsMetrics metrics;
  const auto again = Service::restore(*state, empty, metrics);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->config(), kV2);
  EXPECT_TRUE((*again)->serve(get(kPath, with_token(token))).response.starts_with("HTTP/1.1 401 "));
  ServiceState bad = *state;
  bad.config.ipv4_address = "10.0.0.1";
  const auto refused = Service::restore(bad, empty, metrics);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
}

}  // namespace
}  // namespace mote::metadata

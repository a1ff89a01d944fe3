#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/http/request_parser.h"
#include "api/http/response.h"

namespace mote::api::http {
namespace {

using State = RequestParser::State;
using testing::HasSubstr;
using testing::IsEmpty;

// What comes of `text`, all at once.
RequestParser::Step feed(RequestParser& parser, std::string_view text) { return parser.feed(text); }

TEST(RequestParser, ReadsARequestWithoutABody) {
  RequestParser parser(100);
  const auto step = feed(parser, "GET /vm/config?x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_EQ(step.state, State::kRequest);
  EXPECT_EQ(step.taken, 46U);
  const Request request = parser.take();
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/vm/config?x");
  EXPECT_THAT(request.body, IsEmpty());
}

TEST(RequestParser, ReadsABodyByItsLength) {
  RequestParser parser(100);
  const auto step = feed(parser, "PUT /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET");
  ASSERT_EQ(step.state, State::kRequest);
  EXPECT_EQ(parser.take().body, "abc");
  EXPECT_EQ(step.taken, 41U) << "the next message is left";
}

TEST(RequestParser, PutsChunksTogether) {
  RequestParser parser(100);
  const auto step = feed(parser,
                         "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n");
  ASSERT_EQ(step.state, State::kRequest);
  EXPECT_EQ(parser.take().body, "abcdefg");
}

TEST(RequestParser, ReadsTheSameByteByByte) {
  RequestParser parser(100);
  const std::string text =
      "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  std::string waiting;
  for (std::size_t i = 0; i < text.size(); ++i) {
    waiting += text[i];
    const auto step = parser.feed(waiting);
    waiting.erase(0, step.taken);
    ASSERT_EQ(step.state, i + 1 < text.size() ? State::kNeedMore : State::kRequest) << i;
  }
  EXPECT_EQ(parser.take().body, "abc");
}

TEST(RequestParser, TakesThePathOfATarget) {
  const std::pair<const char*, const char*> targets[] = {
      {"http://localhost/version", "/version"},
      {"http://localhost", "/"},
      {"version", "/"},
      {"https://localhost/version", "/"},
      {"*", "/"},
      {"//a//", "//a//"},
  };
  for (const auto& [target, path] : targets) {
    RequestParser parser(100);
    ASSERT_EQ(parser.feed(fmt::format("GET {} HTTP/1.1\r\n\r\n", target)).state, State::kRequest);
    EXPECT_EQ(parser.take().target, path) << target;
  }
}

TEST(RequestParser, AsksForABodyThatIsHeldBack) {
  RequestParser parser(100);
  const std::string head = "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
  EXPECT_EQ(parser.feed(head).state, State::kExpects);
  EXPECT_EQ(parser.feed("").state, State::kNeedMore) << "once";
  EXPECT_EQ(parser.feed("x").state, State::kRequest);
}

TEST(RequestParser, ExpectsNothingWithoutABodyOrFromHttp10) {
  for (const char* text : {"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
                           "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
                           "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
                           "PUT / HTTP/1.1\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx"}) {
    RequestParser parser(100);
    EXPECT_EQ(parser.feed(text).state, State::kRequest) << text;
  }
}

TEST(RequestParser, RefusesWhatIsSoundButNoRequest) {
  const std::string long_path(kMaxRequestLine, 'a');
  const std::pair<std::string, const char*> bad[] = {
      {"POST / HTTP/1.1\r\n\r\n", "the method is \"POST\""},
      {"get / HTTP/1.1\r\n\r\n", "the method is \"get\""},
      {"GET /\xff HTTP/1.1\r\n\r\n", "the path is not UTF-8"},
      {"GET / HTTP/1.1\r\nfoo: \xff\r\n\r\n", "\"foo\" is not UTF-8"},
      {"GET / HTTP/1.1\r\nAccept-Encoding: *;q=0\r\n\r\n", "Accept-Encoding"},
      {"GET / HTTP/1.1\r\nAccept-Encoding: identity; q=0\r\n\r\n", "Accept-Encoding"},
      {"GET / HTTP/1.1\r\nAccept-Encoding:\r\n\r\n", "Accept-Encoding"},
      {"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "codings"},
      {"GET /" + long_path + " HTTP/1.1\r\n\r\n", "the request line has 1040 bytes"},
  };
  for (const auto& [text, complaint] : bad) {
    RequestParser parser(100);
    const auto step = parser.feed(text + "GET");
    EXPECT_EQ(step.state, State::kRefused) << text;
    EXPECT_EQ(step.taken, text.size()) << "the next message can be told from it";
    EXPECT_THAT(parser.complaint(), HasSubstr(complaint)) << text;
    EXPECT_EQ(parser.feed(std::string("GET / HTTP/1.1\r\n\r\n")).state, State::kRequest) << text;
  }
}

TEST(RequestParser, TheRequestLineMayHaveAllButItsLimit) {
  const std::string path(kMaxRequestLine - 1 - (sizeof "GET / HTTP/1.1\r\n" - 1), 'a');
  RequestParser parser(100);
  EXPECT_EQ(parser.feed("GET /" + path + " HTTP/1.1\r\n\r\n").state, State::kRequest);
  EXPECT_EQ(parser.feed("GET /" + path + "a HTTP/1.1\r\n\r\n").state, State::kRefused);
}

TEST(RequestParser, IsBrokenByWhatHidesTheEndOfTheMessage) {
  const char* const bad[] = {
      "hello\r\n\r\n",
      "\r\n\r\n",
      " GET / HTTP/1.1\r\n\r\n",
      "GET  / HTTP/1.1\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET / HTTP/1.2\r\n\r\n",
      "GET /\r\n\r\n",
      "GET / http/1.1\r\n\r\n",
      "GET / HTTP/1.1 \r\n\r\n",
      "GET / HTTP/1.1\r\nfoo\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length:\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
      "PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
      "PUT / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n{}",
      "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
  };
  for (const char* const text : bad) {
    RequestParser parser(100);
    EXPECT_EQ(parser.feed(text).state, State::kBroken) << text;
    EXPECT_THAT(parser.complaint(), testing::Not(IsEmpty())) << text;
  }
}

TEST(RequestParser, ABodyMayBeAsLargeAsTheLimitAndNoLarger) {
  RequestParser parser(5);
  EXPECT_EQ(parser.feed("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345").state, State::kRequest);
  EXPECT_EQ(parser.feed("PUT / HTTP/1.1\r\nContent-Length: 6\r\n\r\n").state, State::kBroken)
      << "as soon as it is announced";
  EXPECT_THAT(parser.complaint(), HasSubstr("larger than 5 bytes"));
  RequestParser chunked(5);
  EXPECT_EQ(chunked
                .feed("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n3\r\nabc\r\n")
                .state,
            State::kBroken);
  EXPECT_THAT(chunked.complaint(), HasSubstr("larger than 5 bytes"));
}

TEST(RequestParser, HoldsNoHeadBeyondItsLimit) {
  const std::string endless(kMaxHead, 'a');
  RequestParser line(100);
  EXPECT_EQ(line.feed(endless).state, State::kBroken);
  RequestParser field(100);
  EXPECT_EQ(field.feed("GET / HTTP/1.1\r\nfoo: " + endless).state, State::kBroken);
  RequestParser fields(100);
  std::string many = "GET / HTTP/1.1\r\n";
  while (many.size() <= kMaxHead) many += "foo: bar\r\n";
  EXPECT_EQ(fields.feed(many + "\r\n").state, State::kBroken);
  RequestParser chunk(100);
  const std::string head = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(chunk.feed(head + "1;" + endless).state, State::kBroken);
}

TEST(RequestParser, HoldsAThousandFields) {
  std::string text = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 1000; ++i) text += fmt::format("h{}: v\r\n", i);
  RequestParser parser(100);
  EXPECT_EQ(parser.feed(text + "\r\n").state, State::kRequest);
}

TEST(Response, IsByteForByteWhatClientsKnow) {
  std::string out;
  append(out, {.status = 200, .body = "{}"}, Afterwards::kKeepAlive);
  EXPECT_EQ(out,
            "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
  out.clear();
  append(out, {.status = 204, .deprecated = true}, Afterwards::kKeepAlive);
  EXPECT_EQ(out,
            "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
            "Deprecation: true\r\n\r\n");
  out.clear();
  append(out, {.status = 200}, Afterwards::kClose);
  EXPECT_EQ(out,
            "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: close\r\n"
            "Content-Length: 0\r\n\r\n");
  out.clear();
  append_continue(out);
  EXPECT_EQ(out, "HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n");
}

TEST(Response, ARefusalIsJsonWhateverItQuotes) {
  EXPECT_EQ(refusal("a \"b\"\n").body, R"({"error":"a \"b\"\n","fault_message":"a \"b\"\n"})");
}

}  // namespace
}  // namespace mote::api::http

// Descriptors beside requests and answers: they belong to one message each, and those that nobody
// takes are closed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "api_http/fixture.h"
#include "base/descriptor_passing.h"

namespace mote::api::http::test {
namespace {

std::vector<UniqueFd> files(std::size_t count) {
  std::vector<UniqueFd> made;
  for (std::size_t i = 0; i < count; ++i) made.emplace_back(::open("/dev/null", O_RDONLY));
  return made;
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

class DescriptorsTest : public ServerTest {
 protected:
  static bool send(const Client& client, std::string_view text,
                   std::span<const UniqueFd> descriptors) {
    const auto sent = send_some(client.fd(), std::as_bytes(std::span(text)), descriptors);
    return sent && *sent == text.size();
  }
  // One answer, with what came beside its first byte; what came beside others is `stray`.
  struct Answer {
    std::string text;
    std::size_t descriptors = 0;
    std::size_t stray = 0;
  };
  static Answer receive(const Client& client, std::string_view end) {
    Answer answer;
    std::array<std::byte, 65536> buffer;
    while (answer.text.find(end) == std::string::npos) {
      pollfd ready{.fd = client.fd(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 5000) <= 0) break;
      const auto got = receive_some(client.fd(), buffer);
      if (!got || !*got || (*got)->bytes == 0) break;
      for (const UniqueFd& descriptor : (*got)->descriptors) {
        struct stat facts{};
        EXPECT_EQ(::fstat(descriptor.get(), &facts), 0);
        EXPECT_TRUE(S_ISCHR(facts.st_mode));
        EXPECT_NE(::fcntl(descriptor.get(), F_GETFD) & FD_CLOEXEC, 0);
      }
      (answer.text.empty() ? answer.descriptors : answer.stray) += (*got)->descriptors.size();
      answer.text.append(reinterpret_cast<const char*>(buffer.data()), (*got)->bytes);
    }
    return answer;
  }
};

TEST_F(DescriptorsTest, ComeWithARequestAndGoWithItsAnswer) {
  const Client client(path_);
  for (const std::size_t count : {std::size_t{1}, std::size_t{3}, kMaxPassed}) {
    ASSERT_TRUE(send(client, kGet, files(count)));
    EXPECT_EQ(receive(client, "\"GET / 0\"").descriptors, count);
  }
  ASSERT_TRUE(send(client, kGet, {}));
  EXPECT_EQ(receive(client, "\"GET / 0\"").descriptors, 0U);
}

TEST_F(DescriptorsTest, OfPiecesOfARequestAreTogether) {
  const Client client(path_);
  ASSERT_TRUE(send(client, "PUT /x HTTP/1.1\r\n", files(2)));
  ::usleep(20'000);
  ASSERT_TRUE(send(client, "Content-Length: 2\r\n\r\n{", files(1)));
  ::usleep(20'000);
  ASSERT_TRUE(send(client, "}", {}));
  EXPECT_EQ(receive(client, "\"PUT /x 2\"").descriptors, 3U);
}

TEST_F(DescriptorsTest, EachAnswerHasItsOwn) {
  const Client client(path_);
  ASSERT_TRUE(send(client, "GET /big HTTP/1.1\r\n\r\n", {}));
  // It is read by then, and its answer waits to be taken.
  ::usleep(50'000);
  ASSERT_TRUE(send(client, "GET /a HTTP/1.1\r\n\r\n", files(1)));
  ASSERT_TRUE(send(client, "GET /b HTTP/1.1\r\n\r\n", files(2)));
  const Answer all = receive(client, "\"GET /b 0\"");
  EXPECT_EQ(all.descriptors, 0U);
  EXPECT_EQ(all.stray, 3U);
}

// The kernel hands both requests over at once, with the descriptors of the second.
TEST_F(DescriptorsTest, AreNotARequestsThatIsBeforeTheirs) {
  const Client client(path_);
  ASSERT_TRUE(send(client, "GET /big HTTP/1.1\r\n\r\n", {}));
  ::usleep(50'000);
  ASSERT_TRUE(send(client, "GET /a HTTP/1.1\r\n\r\n", {}));
  ASSERT_TRUE(send(client, "GET /b HTTP/1.1\r\n", files(2)));
  receive(client, "\"GET /a 0\"");
  ASSERT_TRUE(send(client, "\r\n", files(1)));
  EXPECT_EQ(receive(client, "\"GET /b 0\"").descriptors, 3U);
}

TEST_F(DescriptorsTest, AreOfTheirRequestAlsoWhenAnotherFollows) {
  const Client client(path_);
  ASSERT_TRUE(send(client, "PUT /x HTTP/1.1\r\nContent-Length: 1\r\n\r\n", files(2)));
  ::usleep(20'000);
  ASSERT_TRUE(send(client, "{GET /y HTTP/1.1\r\n", {}));
  EXPECT_EQ(receive(client, "\"PUT /x 1\"").descriptors, 2U);
  ASSERT_TRUE(send(client, "\r\n", {}));
  EXPECT_EQ(receive(client, "\"GET /y 0\"").descriptors, 0U);
  // Line ends behind a request are no other.
  ASSERT_TRUE(send(client, "GET /z HTTP/1.1\r\n\r\n\r\n", files(1)));
  EXPECT_EQ(receive(client, "\"GET /z 0\"").descriptors, 1U);
}

TEST_F(DescriptorsTest, OfARefusedRequestAreNotTheNextOnes) {
  const Client client(path_);
  ASSERT_TRUE(send(client, "PUT /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", files(2)));
  receive(client, "}");
  Client another(path_);
  ASSERT_TRUE(send(another, "BREW / HTTP/1.1\r\n\r\n", files(2)));
  receive(another, "}");
  ASSERT_TRUE(send(another, kGet, files(1)));
  EXPECT_EQ(receive(another, "\"GET / 0\"").descriptors, 1U);
}

TEST_F(DescriptorsTest, TooManyAreRefusedAndTheConnectionGoesOn) {
  const Client client(path_);
  ASSERT_TRUE(send(client, "GET / HTTP/1.1\r\n", files(kMaxPassed)));
  ::usleep(20'000);
  ASSERT_TRUE(send(client, "\r\n", files(1)));
  const Answer refused = receive(client, "}");
  EXPECT_THAT(refused.text, testing::HasSubstr("more than 32 descriptors"));
  EXPECT_EQ(refused.descriptors, 0U);
  ASSERT_TRUE(send(client, kGet, files(1)));
  EXPECT_EQ(receive(client, "\"GET / 0\"").descriptors, 1U);
}

TEST_F(DescriptorsTest, WhatNobodyTakesIsClosed) {
  {
    // The server's timer for broken requests, which it keeps.
    Client first(path_);
    ASSERT_TRUE(send(first, "GET /\r\n\r\n", {}));
    first.receive("}");
  }
  ::usleep(100'000);
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 50; ++i) {
    Client client(path_);
    // Of a broken request, of one that has no end, and of one whose answer nobody waits for.
    ASSERT_TRUE(send(client, "GET /\r\n\r\n", files(5)));
    client.receive("}");
    Client unfinished(path_);
    ASSERT_TRUE(send(unfinished, "GET / HT", files(5)));
    Client impatient(path_);
    ASSERT_TRUE(send(impatient, kGet, files(5)));
  }
  for (int tries = 0; tries < 100 && open_descriptors() > before; ++tries) ::usleep(20'000);
  EXPECT_LE(open_descriptors(), before);
}

}  // namespace
}  // namespace mote::api::http::test

// vsock over real Unix sockets: streams of the guest and of host programs, and their ends.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>

#include "virtio/vsock/unix/stream.h"
#include "virtio/vsock_program.h"

namespace mote::virtio::test {
namespace {

using vsock::Ports;

constexpr const char* kToldEnd = "<4>";
constexpr const char* kToldReset = "<3>";

TEST_F(VsockUnixTest, TheGuestReachesAServiceOfTheHost) {
  Program service;
  service.listen(path_ + "_1234");
  driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, 1234, 9));
  EXPECT_EQ(driver_->one().header.op, VIRTIO_VSOCK_OP_RESPONSE);
  Program accepted = service.accept();
  const Ports ports{.host = 1234, .guest = 9};
  guest_says(ports, "hello");
  EXPECT_EQ(accepted.hear(), "hello") << "and nothing else";
  accepted.say("world");
  accepted.shut(SHUT_WR);
  turn();
  EXPECT_EQ(guest_hears(), std::string("world") + kToldEnd);
  guest_says(ports, "bye");
  vsock::Header shut = packet(VIRTIO_VSOCK_OP_SHUTDOWN, 1234, 9);
  shut.flags = vsock::kShutSend;
  driver_->send(shut);
  EXPECT_EQ(accepted.hear(), "bye");
  EXPECT_EQ(accepted.hear(), "<end>");
  turn();
  EXPECT_EQ(guest_hears(), kToldEnd) << "both have ended: the other direction is over, too";
  driver_->send(packet(VIRTIO_VSOCK_OP_RST, 1234, 9));
  EXPECT_EQ(device_->connections(), 0U);
}

// The host's program at one end, and at the other a stream that is looked at before it is read.
class UnixStreamLooks : public testing::Test {
 protected:
  UnixStreamLooks() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) < 0) {
      throw std::runtime_error("socketpair");
    }
    program_ = UniqueFd(ends[0]);
    stream_.emplace(UniqueFd(ends[1]), *loop_, false);
  }
  void say(std::string_view text) {
    ASSERT_EQ(::send(program_.get(), text.data(), text.size(), MSG_NOSIGNAL), text.size());
  }
  // In buffers of one byte and of the rest.
  std::string read(std::size_t most) {
    std::string text(most, '?');
    const iovec buffers[] = {{.iov_base = text.data(), .iov_len = 1},
                             {.iov_base = text.data() + 1, .iov_len = most - 1}};
    const auto got = stream_->read(buffers);
    if (!got) return got.error().text();
    if (!*got) return "<nothing>";
    return text.substr(0, **got);
  }
  // Whether the program knows that all was read.
  bool all_gone() {
    int left = 0;
    EXPECT_EQ(::ioctl(program_.get(), SIOCOUTQ, &left), 0);
    return left == 0;
  }

  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  UniqueFd program_;
  std::optional<vsock::UnixStream> stream_;
};

TEST_F(UnixStreamLooks, AShortAnswerIsReadBeforeTheProgramHearsOfIt) {
  EXPECT_FALSE(stream_->waiting());
  EXPECT_EQ(read(10), "<nothing>");
  say("pong");
  EXPECT_TRUE(stream_->waiting());
  EXPECT_TRUE(stream_->waiting()) << "a look takes nothing";
  EXPECT_EQ(read(10), "pong");
  EXPECT_FALSE(all_gone());
  EXPECT_FALSE(stream_->waiting()) << "it has been read";
  stream_->release();
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(read(10), "<nothing>");
  // What comes behind it, before and after release().
  say("one");
  EXPECT_TRUE(stream_->waiting());
  say("two");
  EXPECT_EQ(read(10), "one");
  EXPECT_EQ(read(10), "two");
  EXPECT_TRUE(all_gone());
}

TEST_F(UnixStreamLooks, WhatIsCutShortGoesOn) {
  say("in two pieces");
  EXPECT_TRUE(stream_->waiting());
  EXPECT_EQ(read(6), "in two");
  stream_->release();
  EXPECT_EQ(read(100), " pieces");
  // A look that led to nothing.
  say("later");
  EXPECT_TRUE(stream_->waiting());
  stream_->release();
  say(" on");
  EXPECT_EQ(read(100), "later on");
}

TEST_F(UnixStreamLooks, ALongAnswerIsReadAsEver) {
  const std::string text(1000, 'x');
  say(text);
  EXPECT_TRUE(stream_->waiting());
  EXPECT_EQ(read(2000), text);
  EXPECT_TRUE(all_gone());
}

TEST_F(UnixStreamLooks, AnEndIsSeenBehindWhatWasSaid) {
  say("bye");
  EXPECT_TRUE(stream_->waiting());
  program_.reset();
  EXPECT_EQ(read(10), "bye");
  stream_->release();
  EXPECT_TRUE(stream_->waiting());
  EXPECT_EQ(read(10), "");
}

TEST_F(VsockUnixTest, AnswersThatComeAtOnceAreWholeAndInOrder) {
  Program service;
  service.listen(path_ + "_7");
  driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, 7, 9));
  driver_->take();
  Program accepted = service.accept();
  std::jthread echo([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (const std::string heard = accepted.hear(); !heard.empty()) accepted.say(heard);
    }
  });
  // About as many bytes as a look remembers, and more.
  constexpr std::size_t kSizes[] = {1, 2, 100, 127, 128, 129, 1, 700};
  for (int round = 0; round < 120; ++round) {
    std::string text(kSizes[round % std::size(kSizes)], 'a');
    for (char& c : text) c = static_cast<char>('a' + ((&c - text.data() + round) % 26));
    guest_says({.host = 7, .guest = 9}, text);
    std::string heard;
    for (int turns = 0; heard.size() < text.size() && turns < 100'000; ++turns) {
      heard += guest_hears();
      if (heard.size() < text.size()) turn(1);
    }
    ASSERT_EQ(heard, text) << round;
  }
}

TEST_F(VsockUnixTest, ServicesThatAreNotThere) {
  driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, 1234, 9));
  EXPECT_EQ(guest_hears(), kToldReset);
  directory_.write("v.sock_77", "no socket");
  driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, 77, 9));
  EXPECT_EQ(guest_hears(), kToldReset);
  {
    Program service;
    service.listen(path_ + "_78");
  }
  driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, 78, 9));
  EXPECT_EQ(guest_hears(), kToldReset);
}

TEST_F(VsockUnixTest, AServiceWithAFullBacklogRefuses) {
  Program service;
  service.listen(path_ + "_5");
  std::uint32_t refused = 0;
  for (std::uint32_t i = 0; i < 30; ++i) {
    driver_->send(packet(VIRTIO_VSOCK_OP_REQUEST, 5, i));
    refused += driver_->one().header.op == VIRTIO_VSOCK_OP_RST ? 1 : 0;
  }
  EXPECT_GT(refused, 0U);
  EXPECT_LT(refused, 30U);
}

TEST_F(VsockUnixTest, AHostProgramThatDies) {
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONNECT 52\n");
  const Ports ports = expect_request(52);
  client.hear();
  client.say(std::string(50000, 'x'));
  client.close();
  turn();
  const std::string heard = guest_hears();
  EXPECT_EQ(std::ranges::count(heard, 'x'), 50000) << "what it had said";
  EXPECT_EQ(heard.substr(heard.size() - 3), kToldEnd);
  guest_says(ports, "anybody?");
  driver_->send(packet(VIRTIO_VSOCK_OP_RST, ports.host, ports.guest));
  EXPECT_EQ(device_->connections(), 0U);

  // One that has not read everything is a reset.
  Program rude;
  ASSERT_TRUE(rude.connect(path_));
  rude.say("CONNECT 52\n");
  guest_says(expect_request(52), "unread");
  rude.close();
  turn();
  const std::string end = guest_hears();
  EXPECT_EQ(end.substr(end.size() - 3), kToldReset);
}

TEST_F(VsockUnixTest, AHostProgramThatDoesNotReadFillsUpAndGoesOn) {
  Program client;
  ASSERT_TRUE(client.connect(path_));
  client.say("CONNECT 52\n");
  const Ports ports = expect_request(52);
  client.hear();
  // The guest sends what it has credit for.
  std::string sent;
  std::uint32_t forwarded = 0;
  std::string heard;
  const auto update = [&] {
    for (const Packet& packet : driver_->take()) forwarded = packet.header.fwd_cnt;
  };
  for (int i = 0; i < 200; ++i) {
    const std::size_t room = vsock::kBufAlloc - (sent.size() - forwarded);
    if (room == 0) break;
    const std::string text(std::min<std::size_t>(room, 30000), static_cast<char>('a' + (i % 26)));
    guest_says(ports, text);
    sent += text;
    turn(2);
    update();
  }
  EXPECT_GT(sent.size(), vsock::kBufAlloc) << "the socket's buffer and the device's";
  EXPECT_EQ(sent.size() - forwarded, vsock::kBufAlloc);
  for (int i = 0; i < 200 && heard.size() < sent.size(); ++i) {
    heard += client.hear();
    turn(2);
  }
  EXPECT_EQ(heard, sent);
  update();
  EXPECT_EQ(forwarded, sent.size());
}

TEST_F(VsockUnixTest, AThousandHostPrograms) {
  std::vector<Program> clients(1000);
  for (Program& client : clients) {
    ASSERT_TRUE(client.connect(path_));
    client.say("CONNECT 52\n");
  }
  std::vector<Ports> opened;
  for (int i = 0; i < 200 && opened.size() < clients.size(); ++i) {
    turn(4);
    for (const Packet& request : driver_->take()) {
      ASSERT_EQ(request.header.op, VIRTIO_VSOCK_OP_REQUEST);
      opened.push_back({.host = request.header.src_port, .guest = 52});
      driver_->send(packet(VIRTIO_VSOCK_OP_RESPONSE, opened.back().host, 52));
    }
  }
  ASSERT_EQ(opened.size(), clients.size());
  for (std::size_t i = 0; i < opened.size(); ++i) guest_says(opened[i], std::to_string(i));
  for (std::size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i].hear(), fmt::format("OK {}\n{}", opened[i].host, i));
  }
}

}  // namespace
}  // namespace mote::virtio::test

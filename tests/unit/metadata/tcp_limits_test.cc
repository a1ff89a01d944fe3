// Windows, resets, and more connections than there is room for.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "metadata/tcp_fixture.h"

namespace mote::metadata {
namespace {

using namespace std::chrono_literals;
using test::Frame;
using test::get;
using test::read_frame;
using test::take_body;
using test::TcpPeer;
using test::TestSegment;
using Tcp = test::Tcp;
using LargeTcp = test::LargeTcp;

constexpr const char* kPath = "/latest/meta-data/ami-id";

// Windows
// ------------------------------------------------------------------------------------------------

TEST_F(LargeTcp, SendsNoMoreThanFitsTheWindowAndTheMss) {
  TcpPeer peer(wire, 4000);
  peer.mss = 400;
  peer.window = 1000;
  peer.connect();
  peer.answers = false;
  peer.transmit({.sequence = peer.next(), .flags = "A", .payload = get("/large")});
  std::size_t sent = 0;
  for (const Frame& frame : wire.receive_all()) {
    const TestSegment segment = read_frame(frame);
    EXPECT_LE(segment.payload.size(), 400U);
    sent += segment.payload.size();
  }
  EXPECT_EQ(sent, 1000U);
}

TEST_F(LargeTcp, AsksForAWindowThatIsClosedAndGoesOnWhenItOpens) {
  TcpPeer peer(wire, 4000);
  peer.window = 0;
  peer.connect();
  peer.send(get("/large"));
  EXPECT_EQ(peer.received(), "");
  // The probe is a byte that there is no room for.
  peer.answers = false;
  wire.pass(250ms);
  const auto probe = wire.receive_all();
  ASSERT_EQ(probe.size(), 1U);
  EXPECT_EQ(read_frame(probe[0]).payload, "H");
  peer.acknowledge();
  EXPECT_TRUE(wire.receive_all().empty());
  peer.answers = true;
  peer.window = 20000;
  peer.acknowledge();
  peer.poll();
  EXPECT_EQ(take_body(peer.received()), value);
}

TEST_F(LargeTcp, GivesUpAPeerThatKeepsItsWindowClosed) {
  TcpPeer peer(wire, 4000);
  peer.window = 0;
  peer.connect();
  peer.send(get("/large"));
  peer.answers = false;
  peer.to_guest = [](const TestSegment& segment) { return segment.payload.empty(); };
  for (int i = 0; i < 120; ++i) {
    wire.pass(1s);
    peer.acknowledge();
    peer.poll();
  }
  EXPECT_TRUE(peer.was_reset());
  EXPECT_EQ(wire.end().connections(), 0U);
}

TEST_F(LargeTcp, ClosesItsOwnWindowOnWhomItCannotAnswerAndOpensItAgain) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  peer.answers = false;
  std::string requests;
  while (requests.size() < TcpConnection::kReceiveBuffer) requests += get("/large");
  requests.resize(TcpConnection::kReceiveBuffer);
  peer.send(requests);
  EXPECT_EQ(peer.received().substr(0, 8), "HTTP/1.1");
  EXPECT_LT(peer.service_window(), TcpConnection::kReceiveBuffer / 2);
  // Acknowledged part by part, all of it is answered.
  peer.answers = true;
  peer.acknowledge();
  peer.poll();
  EXPECT_GT(peer.service_window(), TcpConnection::kReceiveBuffer / 2);
  EXPECT_EQ(take_body(peer.received()), value);
}

TEST_F(LargeTcp, KeepsLittleHoweverMuchIsAsked) {
  std::vector<std::unique_ptr<TcpPeer>> peers;
  for (unsigned i = 0; i < TcpEndpoint::kMostConnections; ++i) {
    peers.push_back(std::make_unique<TcpPeer>(wire, static_cast<std::uint16_t>(5000 + i)));
    peers.back()->connect();
    peers.back()->window = 0;
    peers.back()->acknowledge();
    peers.back()->send(get("/large") + get("/large") + get("/large"));
  }
  // Each answer is counted as it is made.
  EXPECT_LE(stage.metrics.rx_no_token * value.size(), TcpEndpoint::kMostHeld + value.size());
  // Those who read are served by and by.
  for (auto& peer : peers) {
    for (auto& other : peers) peer->meet(*other);
  }
  for (int round = 0; round < 20; ++round) {
    for (auto& peer : peers) {
      peer->window = 65535;
      peer->acknowledge();
      peer->poll();
    }
  }
  for (auto& peer : peers) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(take_body(peer->received()), value);
  }
}

// Resets
// ------------------------------------------------------------------------------------------------

TEST_F(Tcp, EndsAtAReset) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  peer.reset();
  EXPECT_EQ(wire.end().connections(), 0U);
  EXPECT_TRUE(wire.receive_all().empty());
}

TEST_F(Tcp, DoesNotBelieveAResetThatIsNotExact) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  for (const std::uint32_t off : {1U, 100U, 0xffffffffU, 0x80000000U}) {
    peer.transmit({.sequence = peer.next() + off, .flags = "R"});
    EXPECT_EQ(wire.end().connections(), 1U) << off;
  }
  peer.poll();
  peer.send(get(kPath));
  EXPECT_EQ(take_body(peer.received()), "ami-1");
}

TEST_F(Tcp, ResetsWhatBelongsToNoConnection) {
  const auto answer_to = [&](TestSegment segment) {
    segment.source_port = 4000;
    wire.send(test::tcp_frame(segment));
    const auto frames = wire.receive_all();
    return frames.size() == 1 ? read_frame(frames[0]) : TestSegment{.flags = "none"};
  };
  TestSegment reset = answer_to({.sequence = 7, .acknowledgment = 9, .flags = "A"});
  EXPECT_EQ(reset.flags, "R");
  EXPECT_EQ(reset.sequence, 9U);
  reset = answer_to({.sequence = 7, .flags = "F", .payload = "abc"});
  EXPECT_EQ(reset.flags, "AR");
  EXPECT_EQ(reset.acknowledgment, 11U);
  EXPECT_EQ(answer_to({.destination_port = 81, .sequence = 7, .flags = "S"}).flags, "AR");
  EXPECT_EQ(answer_to({.flags = "R"}).flags, "none");
  EXPECT_EQ(answer_to({.flags = "AR"}).flags, "none");
  EXPECT_EQ(answer_to({.acknowledgment = 1, .flags = "SA"}).flags, "R");
  EXPECT_EQ(wire.end().connections(), 0U);
}

TEST_F(Tcp, KeepsAHundredResetsAtMost) {
  for (unsigned i = 0; i < 1000; ++i) {
    wire.send(test::tcp_frame(
        {.source_port = static_cast<std::uint16_t>(i), .destination_port = 81, .flags = "S"}));
  }
  EXPECT_EQ(wire.receive_all().size(), TcpEndpoint::kMostResets);
  EXPECT_EQ(stage.metrics.tx_errors, 900U);
}

TEST_F(Tcp, BeginsAnewWithAPeerThatHasForgotten) {
  TcpPeer old(wire, 4000, 5000);
  old.connect();
  TcpPeer fresh(wire, 4000, 900000);
  // Our word of the old connection makes it send the reset that is due.
  wire.send(test::tcp_frame({.source_port = 4000, .sequence = 900000, .flags = "S"}));
  const auto frames = wire.receive_all();
  ASSERT_EQ(frames.size(), 1U);
  const TestSegment challenge = read_frame(frames[0]);
  EXPECT_EQ(challenge.flags, "A");
  wire.send(
      test::tcp_frame({.source_port = 4000, .sequence = challenge.acknowledgment, .flags = "R"}));
  EXPECT_EQ(wire.end().connections(), 0U);
  fresh.connect();
  EXPECT_TRUE(fresh.connected());
}

TEST_F(Tcp, IgnoresWordOfWhatWasNeverSent) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  wire.send(test::tcp_frame({.source_port = 4000,
                             .sequence = peer.next(),
                             .acknowledgment = peer.expected() + 1000,
                             .flags = "A",
                             .payload = get(kPath)}));
  const auto frames = wire.receive_all();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(read_frame(frames[0]).payload, "");
  peer.send(get(kPath));
  EXPECT_EQ(take_body(peer.received()), "ami-1");
}

// Many
// ------------------------------------------------------------------------------------------------

TEST_F(Tcp, HasRoomForThirtyAndResetsTheNext) {
  std::vector<std::unique_ptr<TcpPeer>> peers;
  for (unsigned i = 0; i <= TcpEndpoint::kMostConnections; ++i) {
    peers.push_back(std::make_unique<TcpPeer>(wire, static_cast<std::uint16_t>(5000 + i)));
    peers.back()->connect();
  }
  EXPECT_EQ(wire.end().connections(), TcpEndpoint::kMostConnections);
  EXPECT_TRUE(peers.back()->was_reset());
  for (unsigned i = 0; i < TcpEndpoint::kMostConnections; ++i) {
    peers[i]->send(get(kPath));
    EXPECT_EQ(take_body(peers[i]->received()), "ami-1");
  }
  // One that is silent for long makes room.
  wire.pass(41s);
  for (unsigned i = 1; i < TcpEndpoint::kMostConnections; ++i) peers[i]->send(get(kPath));
  TcpPeer late(wire, 6000);
  late.meet(*peers[0]);
  late.connect();
  EXPECT_TRUE(late.connected());
  EXPECT_TRUE(peers[0]->was_reset());
}

TEST_F(Tcp, BearsAFloodOfBeginnings) {
  std::vector<std::unique_ptr<TcpPeer>> peers;
  for (unsigned i = 0; i < 10; ++i) {
    peers.push_back(std::make_unique<TcpPeer>(wire, static_cast<std::uint16_t>(5000 + i)));
    peers.back()->connect();
  }
  for (unsigned i = 0; i < 10000; ++i) {
    wire.send(test::tcp_frame(
        {.source_port = static_cast<std::uint16_t>(6000 + i), .sequence = i, .flags = "S"}));
    EXPECT_LE(wire.end().connections(), TcpEndpoint::kMostConnections);
    if (i % 7 == 0) wire.receive_all();
  }
  wire.receive_all();
  for (auto& peer : peers) {
    peer->send(get(kPath));
    EXPECT_EQ(take_body(peer->received()), "ami-1");
  }
  TcpPeer another(wire, 4000);
  another.connect();
  another.send(get(kPath));
  EXPECT_EQ(take_body(another.received()), "ami-1");
}

TEST_F(Tcp, AnswersEachConnectionAtItsLane) {
  wire.send(test::tcp_frame({.source_port = 4000, .flags = "S"}), false, 1);
  EXPECT_TRUE(wire.receive(0).empty());
  EXPECT_EQ(read_frame(wire.receive(1)).flags, "SA");
}

TEST_F(Tcp, BelievesNoMssThatIsAbsurd) {
  for (const char* options : {"\x02\x04\x00\x01", "\x02\x04\xff\xff", "\x02\x02\x01\x01",
                              "\x02\x00\x01\x01", "\x05\xff\x01\x01", "\x01\x01\x01\x02"}) {
    const auto port = static_cast<std::uint16_t>(4000 + wire.end().connections());
    wire.send(test::tcp_frame(
        {.source_port = port, .sequence = 1, .flags = "S", .options = std::string(options, 4)}));
    const TestSegment answer = read_frame(wire.receive());
    wire.send(test::tcp_frame({.source_port = port,
                               .sequence = 2,
                               .acknowledgment = answer.sequence + 1,
                               .flags = "A",
                               .payload = get(kPath)}));
    const TestSegment data = read_frame(wire.receive());
    EXPECT_GE(data.payload.size(), TcpConnection::kLeastMss);
    wire.receive_all();
  }
}

}  // namespace
}  // namespace mote::metadata

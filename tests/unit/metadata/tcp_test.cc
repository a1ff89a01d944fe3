// One connection with a network that does its worst.
#include <gtest/gtest.h>

#include <random>

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

TEST_F(Tcp, AnswersRequestsOnAConnectionThatStays) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  ASSERT_TRUE(peer.connected());
  for (int i = 0; i < 3; ++i) {
    peer.send(get(kPath));
    EXPECT_EQ(take_body(peer.received()), "ami-1");
  }
  EXPECT_TRUE(peer.all_acknowledged());
  EXPECT_EQ(stage.metrics.connections_created, 1U);
  EXPECT_EQ(stage.metrics.connections_destroyed, 0U);
  EXPECT_FALSE(wire.end().deadline()) << "nothing is waited for";
}

TEST_F(Tcp, ClosesWhenThePeerDoes) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  peer.close();
  EXPECT_TRUE(peer.closed_by_service());
  EXPECT_TRUE(peer.all_acknowledged());
  EXPECT_EQ(wire.end().connections(), 0U);
  EXPECT_EQ(stage.metrics.connections_destroyed, 1U);
}

TEST_F(Tcp, ClosesFirstWhenThatIsAskedFor) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  peer.send(get(kPath, "Connection: close\r\n"));
  EXPECT_EQ(take_body(peer.received()), "ami-1");
  EXPECT_TRUE(peer.closed_by_service());
  EXPECT_EQ(wire.end().connections(), 1U);
  peer.close();
  EXPECT_TRUE(peer.all_acknowledged());
  EXPECT_EQ(wire.end().connections(), 0U);
}

TEST_F(Tcp, AnswersAPeerThatHasClosedItsHalf) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  // Request and FIN in one segment.
  peer.queue(get(kPath));
  peer.close();
  EXPECT_EQ(take_body(peer.received()), "ami-1");
  EXPECT_TRUE(peer.closed_by_service());
}

TEST_F(Tcp, ClosesOnAPeerThatClosesAmidARequest) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  peer.send("GET / HT");
  peer.close();
  EXPECT_TRUE(peer.closed_by_service());
  EXPECT_EQ(peer.received(), "");
  EXPECT_EQ(wire.end().connections(), 0U);
}

TEST_F(Tcp, TakesARequestByteByByte) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  for (const char c : get(kPath)) peer.send(std::string(1, c));
  EXPECT_EQ(take_body(peer.received()), "ami-1");
}

TEST_F(Tcp, AnswersRequestsThatComeTogetherInOrder) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += get(i % 2 == 0 ? kPath : "/latest");
  peer.send(requests);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(take_body(peer.received()), i % 2 == 0 ? "ami-1" : "meta-data/");
  }
}

TEST_F(Tcp, TakesASegmentThatIsLargerThanTheMtu) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  const std::string request = get(kPath, "X: " + std::string(6000, 'x') + "\r\n");
  // As a guest sends what its device is to cut, and to sum up.
  peer.finished = false;
  peer.send(request);
  EXPECT_EQ(take_body(peer.received()), "ami-1");
}

TEST_F(Tcp, GoesRoundWithItsNumbers) {
  wire.begin_at(0xffffff00);
  TcpPeer peer(wire, 4000, 0xffffffe0);
  peer.connect();
  for (int i = 0; i < 5; ++i) {
    peer.send(get(kPath));
    EXPECT_EQ(take_body(peer.received()), "ami-1");
  }
  EXPECT_LT(peer.next(), 0x1000U);
  EXPECT_LT(peer.expected(), 0x1000U);
  peer.close();
  EXPECT_EQ(wire.end().connections(), 0U);
}

// What is lost, doubled, late
// ------------------------------------------------------------------------------------------------

TEST_F(Tcp, SendsAgainWhatIsLost) {
  TcpPeer peer(wire, 4000);
  int lost = 2;
  peer.to_guest = [&](const TestSegment& segment) { return !segment.has('S') || lost-- <= 0; };
  peer.connect();
  EXPECT_FALSE(peer.connected());
  wire.pass(1s);
  peer.poll();
  wire.pass(1s);
  peer.poll();
  ASSERT_TRUE(peer.connected());
  lost = 3;
  peer.to_guest = [&](const TestSegment& segment) {
    return segment.payload.empty() || lost-- <= 0;
  };
  peer.send(get(kPath));
  EXPECT_EQ(peer.received(), "");
  for (int i = 0; i < 3; ++i) {
    wire.pass(2s);
    peer.poll();
  }
  EXPECT_EQ(take_body(peer.received()), "ami-1");
}

TEST_F(Tcp, GivesUpAPeerThatIsNoLongerThere) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  peer.to_guest = [](const TestSegment& segment) { return segment.has('R'); };
  peer.send(get(kPath));
  for (int i = 0; i < 120 && wire.end().connections() != 0; ++i) {
    wire.pass(1s);
    peer.poll();
  }
  EXPECT_EQ(wire.end().connections(), 0U);
  peer.poll();
  EXPECT_TRUE(peer.was_reset());
}

TEST_F(Tcp, GivesUpABeginningThatIsNotCompleted) {
  TcpPeer peer(wire, 4000);
  peer.to_guest = [](const TestSegment&) { return false; };
  peer.connect();
  EXPECT_EQ(wire.end().connections(), 1U);
  for (int i = 0; i < 120; ++i) {
    wire.pass(1s);
    peer.poll();
  }
  EXPECT_EQ(wire.end().connections(), 0U);
}

TEST_F(Tcp, DropsWhatIsOutOfOrderAndSaysWhereItIs) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  const std::string request = get(kPath);
  const std::uint32_t begin = peer.next();
  peer.answers = false;
  peer.transmit({.sequence = begin + 10, .flags = "A", .payload = request.substr(10)});
  const auto frames = wire.receive_all();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(read_frame(frames[0]).acknowledgment, begin);
  peer.answers = true;
  peer.send(request);
  EXPECT_EQ(take_body(peer.received()), "ami-1");
}

TEST_F(Tcp, TakesOfOverlappingSegmentsWhatIsNew) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  const std::string request = get(kPath);
  const std::uint32_t begin = peer.next();
  peer.answers = false;
  const auto part = [&](std::size_t from, std::size_t length) {
    peer.transmit({.sequence = begin + static_cast<std::uint32_t>(from),
                   .flags = "A",
                   .payload = request.substr(from, length)});
  };
  part(0, 20);
  part(0, 20);
  part(10, 15);
  part(5, 5);
  part(0, 30);
  part(29, request.size());
  std::string got;
  for (const Frame& frame : wire.receive_all()) got += read_frame(frame).payload;
  EXPECT_EQ(take_body(got), "ami-1");
  EXPECT_EQ(got, "");
}

TEST_F(LargeTcp, RecoversQuicklyWhenOneOfManySegmentsIsLost) {
  TcpPeer peer(wire, 4000);
  peer.connect();
  int count = 0;
  peer.to_guest = [&](const TestSegment& segment) {
    return segment.payload.empty() || ++count != 5;
  };
  peer.send(get("/large"));
  EXPECT_EQ(take_body(peer.received()), value) << "without any timer";
}

TEST_F(LargeTcp, ArrivesWholeWhateverIsLostDoubledOrLate) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    TcpPeer peer(wire, static_cast<std::uint16_t>(4000 + seed), random());
    peer.mss = static_cast<std::uint16_t>(100 + random() % 1400);
    peer.window = static_cast<std::uint16_t>(500 + random() % 30000);
    std::vector<TestSegment> late;
    peer.to_service = [&](const TestSegment&) { return !chance(20); };
    peer.to_guest = [&](const TestSegment& segment) {
      if (chance(10)) late.push_back(segment);
      return !chance(20);
    };
    peer.connect();
    const std::string request = get("/large") + get("/small");
    for (int i = 0; i < 400 && !peer.connected(); ++i) {
      wire.pass(300ms);
      peer.resend();
      peer.poll();
    }
    ASSERT_TRUE(peer.connected()) << seed;
    peer.send(request);
    for (int i = 0; i < 2000; ++i) {
      peer.resend();
      for (const TestSegment& again : std::exchange(late, {})) peer.take(again);
      peer.poll();
      if (peer.all_acknowledged() && peer.received().ends_with("\r\n\r\ns")) break;
      wire.pass(200ms);
    }
    EXPECT_EQ(take_body(peer.received()), value) << seed;
    EXPECT_EQ(take_body(peer.received()), "s") << seed;
    peer.to_service = peer.to_guest = [](const TestSegment&) { return true; };
    peer.reset();
  }
  EXPECT_EQ(wire.end().connections(), 0U);
}

}  // namespace
}  // namespace mote::metadata

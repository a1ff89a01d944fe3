// A guest's side of the metadata service's network for tests: frames made and read by the kernel's
// structs, apart from the code that is tested, and a TCP client that is strict about what it gets.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "metadata/network_end.h"

namespace mote::metadata::test {

using Frame = std::vector<std::byte>;

inline constexpr Ipv4 kServiceAddress = 0xa9fea9fe;
inline constexpr Ipv4 kGuestAddress = 0xac100002;
inline constexpr MacAddress kGuestMac{{0x06, 0, 0xac, 0x10, 0, 2}};
inline constexpr MacAddress kServiceMac{{0x06, 0x01, 0x23, 0x45, 0x67, 0x01}};

// What a TCP segment is made of, to be sent or as it came.
struct TestSegment {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 80;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::string flags;  // of S A F R P
  std::uint16_t window = 65535;
  std::string payload{};
  std::string options{};  // a multiple of 4 bytes

  bool has(char flag) const { return flags.find(flag) != std::string::npos; }
};

// The frame of an IPv4 packet from the guest to the service.
Frame ipv4_frame(std::uint8_t protocol, std::string_view payload, Ipv4 source = kGuestAddress);
// With checksums; `finished`: also TCP's.
Frame tcp_frame(const TestSegment& segment, bool finished = true);
Frame arp_frame(std::uint16_t operation, Ipv4 target = kServiceAddress);
// Fails the test when the frame is not a sound one from the service to the guest.
TestSegment read_frame(const Frame& frame);
std::uint16_t internet_checksum(std::string_view bytes, std::uint32_t sum = 0);

// The service's end with time that goes when the test says so.
class Wire {
 public:
  explicit Wire(Service& service) : end_(service, [this] { return first_ += 64000; }) {}

  NetworkEnd& end() { return end_; }
  void send(const Frame& frame, bool unfinished = false, unsigned lane = 0) {
    ASSERT_TRUE(end_.is_ours(std::span(frame).first(std::min(frame.size(), NetworkEnd::kTelling))));
    end_.take(lane, frame, unfinished, now_);
  }
  // The next frame for the guest; empty: none.
  Frame receive(unsigned lane = 0);
  std::vector<Frame> receive_all(unsigned lane = 0);
  // Lets time go, in steps, with the timers that become due.
  void pass(std::chrono::milliseconds time);
  Time now() const { return now_; }
  // The next connection begins with a sequence number near the turn-over.
  void begin_at(std::uint32_t first) { first_ = first - 64000; }

 private:
  std::uint32_t first_ = 1000;
  NetworkEnd end_;
  Time now_{std::chrono::hours(1)};
};

// A client.
class TcpPeer {
 public:
  TcpPeer(Wire& wire, std::uint16_t port, std::uint32_t first = 5000)
      : wire_(wire), port_(port), next_(first), una_(first) {}

  // What a test may set before or between.
  std::uint16_t window = 65535;
  std::uint16_t mss = 1460;
  bool answers = true;   // acknowledges what comes
  bool finished = true;  // with checksums
  // False: the frame is lost. Of both directions.
  std::function<bool(const TestSegment&)> to_service = [](const auto&) { return true; };
  std::function<bool(const TestSegment&)> to_guest = [](const auto&) { return true; };

  void connect();
  void send(std::string_view data);
  // Lets data wait for close().
  void queue(std::string_view data) { queued_ += data; }
  void close();
  void reset();
  // Takes what the service has to say, to all peers of the wire.
  void poll();
  // Takes one segment that came.
  void take(const TestSegment& segment);
  // Sends again what is not acknowledged.
  void resend();
  // Tells the window.
  void acknowledge() { transmit({.sequence = next_, .flags = "A"}); }
  void transmit(TestSegment segment);

  std::uint16_t port() const { return port_; }
  std::uint32_t next() const { return next_; }
  std::uint32_t una() const { return una_; }
  std::uint32_t expected() const { return expected_; }
  bool connected() const { return connected_; }
  bool closed_by_service() const { return fin_; }
  bool was_reset() const { return reset_; }
  bool all_acknowledged() const { return una_ == next_; }
  std::string& received() { return received_; }
  std::size_t segments() const { return segments_; }
  std::uint16_t service_window() const { return service_window_; }
  // Other peers of the wire, which poll() hands their segments.
  void meet(TcpPeer& other) { others_.push_back(&other); }

 private:
  Wire& wire_;
  std::uint16_t port_;
  std::uint32_t next_;
  std::uint32_t una_;
  std::string unacknowledged_;  // from una_ on, SYN and FIN apart
  std::uint32_t expected_ = 0;
  std::string queued_;
  bool syn_pending_ = false;
  bool connected_ = false;
  bool fin_sent_ = false;
  bool fin_ = false;
  bool reset_ = false;
  std::string received_;
  std::size_t segments_ = 0;
  std::uint16_t service_window_ = 0;
  std::vector<TcpPeer*> others_;
};

// A store, a service over it, and its counters.
struct Stage {
  explicit Stage(std::string_view data = R"({"latest":{"meta-data":{"ami-id":"ami-1","n":1}}})",
                 const MmdsConfig& config = {.network_interfaces = {"eth0"}},
                 std::size_t limit = kDefaultSizeLimit)
      : store(limit), service(config, store, metrics, [this] { return time; }) {
    EXPECT_TRUE(store.put(data));
  }

  std::chrono::milliseconds time{1000};  // of tokens
  Store store;
  MmdsMetrics metrics;
  Service service;
};

// "GET <path>" with these header lines, each with its end of line.
inline std::string get(std::string_view path, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: 169.254.169.254\r\n{}\r\n", path, headers);
}
// The body of the first response in `bytes`, which it takes away; fails the test when none is
// whole.
std::string take_body(std::string& bytes, unsigned status = 200);

}  // namespace mote::metadata::test

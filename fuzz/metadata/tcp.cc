// The TCP end of the metadata service under a guest that sends what it likes: sound segments, some
// that are almost sound, frames of any bytes, and a clock that goes on. What comes back is always
// sound, and afterwards an honest client is served.
#include <linux/if_ether.h>

#include "fuzz/input.h"
#include "fuzz/target.h"
#include "metadata/network_end.h"

namespace mote::fuzz {
namespace {

using namespace metadata;

constexpr Ipv4 kService = 0xa9fea9fe;
constexpr Ipv4 kGuest = 0x0a000002;
constexpr MacAddress kMac{{2, 0, 0, 0, 0, 1}};
const std::string kRequest = "GET /a HTTP/1.1\r\n\r\n";

class Guest {
 public:
  explicit Guest(Input& input) : input_(input) {
    require(store_.put(R"({"a":"b","large":")" + std::string(20000, 'x') + "\"}").has_value(),
            "sound data");
  }

  void act() {
    switch (input_.below<std::uint8_t>(8)) {
      case 0:
        return send(segment(true));
      case 1:
      case 2:
      case 3:
        return send(segment(false));
      case 4:
        return send_raw(input_.text(200));
      case 5:
        now_ += std::chrono::milliseconds(input_.below<std::uint16_t>(30000));
        return end_.tick(now_);
      default:
        return take(input_.below<std::uint8_t>(20));
    }
  }

  void be_honest() {
    // Whoever does not answer is given up.
    for (int i = 0; i < 30; ++i) {
      now_ += std::chrono::seconds(10);
      end_.tick(now_);
      take(1000);
    }
    const std::uint16_t port = 40000;
    send({.source_port = port, .destination_port = kHttpPort, .sequence = 1, .syn = true});
    take(1000);
    require(last_.syn && last_.ack && last_.destination_port == port, "a connection is taken");
    send({.source_port = port,
          .destination_port = kHttpPort,
          .sequence = 2,
          .acknowledgment = last_.sequence + 1,
          .ack = true,
          .window = 65535,
          .payload = kRequest});
    take(1000);
    require(payload_.starts_with("HTTP/1.1 200 OK"), "and its request is answered");
  }

 private:
  Segment segment(bool syn) {
    static constexpr std::array<std::uint32_t, 5> kOff{0, 1, 0xffffffff, 8192, 0x80000000};
    const std::uint8_t flags = input_.number<std::uint8_t>();
    text_ = input_.once_in(2) ? kRequest.substr(0, input_.below<std::size_t>(kRequest.size() + 1))
                              : input_.text(300);
    return {.source_port = static_cast<std::uint16_t>(1000 + input_.below<std::uint8_t>(40)),
            .destination_port = kHttpPort,
            .sequence = last_.acknowledgment + input_.pick(kOff),
            .acknowledgment = last_.sequence + last_.length() + input_.pick(kOff),
            .syn = syn,
            .ack = !syn || (flags & 3) == 0,
            .fin = (flags & 0x1c) == 0x1c,
            .rst = (flags & 0xe0) == 0xe0,
            .window = input_.once_in(3) ? input_.number<std::uint16_t>() : std::uint16_t{60000},
            .mss = syn ? std::optional(input_.number<std::uint16_t>()) : std::nullopt,
            .payload = syn ? std::string_view() : std::string_view(text_)};
  }

  void send(const Segment& segment) {
    std::array<std::byte, kMostHeaders + 400> frame;
    const std::size_t length = write_tcp(
        {.from = kMac, .to = {}, .from_address = kGuest, .to_address = kService}, segment, frame);
    const Bytes bytes = std::span(frame).first(length);
    require(end_.is_ours(bytes.first(std::min(length, NetworkEnd::kTelling))), "it is ours");
    end_.take(0, bytes, false, now_);
    check();
  }

  void send_raw(const std::string& text) {
    const Bytes bytes = std::as_bytes(std::span(text));
    if (!end_.is_ours(bytes.first(std::min(bytes.size(), NetworkEnd::kTelling)))) return;
    end_.take(0, bytes, input_.once_in(2), now_);
    check();
  }

  // Takes frames, as many as that at most.
  void take(unsigned most) {
    std::array<std::byte, NetworkEnd::kMostFrame> frame;
    for (; most > 0; --most) {
      const std::size_t length = end_.give(0, frame, now_);
      if (length == 0) return require(!end_.ready(0), "what is ready comes");
      const auto ethernet = read_ethernet(std::span(frame).first(length));
      require(ethernet.has_value(), "a frame is Ethernet");
      if (ethernet->type == ETH_P_ARP) continue;
      const auto packet = read_ipv4(ethernet->payload);
      require(packet && packet->source == kService, "of IPv4");
      const auto segment = read_tcp(*packet, true);
      require(segment && segment->payload.size() <= TcpConnection::kMss, "of TCP");
      if (segment->rst) continue;
      last_ = *segment;
      payload_ = segment->payload;
      last_.payload = payload_;
    }
  }

  void check() {
    require(end_.connections() <= TcpEndpoint::kMostConnections, "connections are bounded");
  }

  Input& input_;
  Store store_;
  MmdsMetrics metrics_;
  Service service_{{.network_interfaces = {"e"}}, store_, metrics_};
  std::uint32_t first_ = 0xfffff000;
  NetworkEnd end_{service_, [this] { return first_ += 77; }};
  Time now_{std::chrono::hours(1)};
  Segment last_;  // that came and was no reset
  std::string payload_;
  std::string text_;
};

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  Guest guest(input);
  for (int i = 0; i < 200 && !input.done(); ++i) guest.act();
  guest.be_honest();
}

std::vector<std::string> seeds() {
  std::string some;
  for (int i = 0; i < 300; ++i) some += static_cast<char>(i * 37);
  return {std::string(64, '\0'), std::string(200, '\7'), some};
}

}  // namespace mote::fuzz

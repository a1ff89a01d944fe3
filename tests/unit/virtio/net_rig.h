// A network device on a fake link, with a driver of each queue of its first pair, or of any other.
#pragma once

#include <map>

#include "virtio/fake_link.h"
#include "virtio/net/device.h"
#include "virtio/net/net_abi.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {

inline constexpr std::uint64_t kMergeable = std::uint64_t{1} << VIRTIO_NET_F_MRG_RXBUF;
inline constexpr std::uint64_t kSeveralPairs =
    std::uint64_t{1} << VIRTIO_NET_F_MQ | std::uint64_t{1} << VIRTIO_NET_F_CTRL_VQ;
inline constexpr std::size_t kHeader = network::kHeaderSize;

// A header of zeroes, and `size` bytes of frame: addresses, a type, and text that runs.
inline std::string frame_of(std::size_t size, const std::string& source = "source") {
  std::string frame = std::string(kHeader, '\0') + "target" + source + "\x08";
  frame.push_back('\0');
  while (frame.size() < kHeader + size) {
    frame.push_back(static_cast<char>('a' + frame.size() % 26));
  }
  frame.resize(kHeader + size);
  return frame;
}

class NetTest : public ::testing::Test {
 protected:
  void build(NetConfig config = {.iface_id = "test", .host_dev_name = "tap"}, unsigned lanes = 1) {
    auto link = std::make_unique<FakeLink>(lanes);
    link_ = link.get();
    auto net = Net::create(config, services_.get(), std::move(link));
    if (!net) throw std::runtime_error(net.error().text());
    net_ = std::move(*net);
  }
  // Starts queue `index`, the first time that it is asked for.
  TestDriver& queue(std::uint16_t index, std::uint64_t features = kMergeable,
                    std::uint16_t size = 256) {
    auto& driver = drivers_[index];
    if (!driver) driver = std::make_unique<TestDriver>(*net_, size, features, index);
    return *driver;
  }
  TestDriver& rx() { return queue(0); }
  TestDriver& tx() { return queue(1); }
  const NetMetrics& metrics() const { return net_->metrics(); }
  // The frame as a driver sees it that merges `heads`, of which the first has the header; and what
  // the header says of their number.
  std::string received(TestDriver& driver, const std::vector<Used>& heads) {
    std::string all;
    for (const Used& used : heads)
      all += driver.ring.written(static_cast<std::uint16_t>(used.head)).substr(0, used.length);
    return all;
  }
  static std::string with_count(std::string frame, char count) {
    frame[10] = count;
    return frame;
  }
  void TearDown() override { drivers_.clear(); }

  TestServices services_;
  FakeLink* link_ = nullptr;
  std::unique_ptr<Net> net_;
  std::map<std::uint16_t, std::unique_ptr<TestDriver>> drivers_;
};

}  // namespace mote::virtio::test

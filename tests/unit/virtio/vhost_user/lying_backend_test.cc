// Backends that lie, or say nothing.
#include <sys/socket.h>

#include "base/log.h"
#include "virtio/vhost_user/fixture.h"

namespace mote::virtio::test {
namespace {

using vhost_user::Request;
using Instead = std::function<bool(int, const FakeMessage&)>;

// Answers `request` with `payload`, and `flags` in place of those of a reply.
Instead answering(Request request, std::string payload, std::uint32_t flags = 5,
                  std::optional<std::uint32_t> size = {}) {
  return [=](int fd, const FakeMessage& message) {
    if (message.header.request != request) return false;
    const vhost_user::MessageHeader header{
        .request = request,
        .flags = flags,
        .size = size.value_or(static_cast<std::uint32_t>(payload.size()))};
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
    bytes += payload;
    static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    return true;
  };
}

TEST_F(VhostUserBlockTest, ABackendThatLiesIsRefused) {
  const std::string value(8, '\1');
  for (const Instead& instead :
       {answering(Request::kGetFeatures, ""), answering(Request::kGetFeatures, "1234567"),
        answering(Request::kGetFeatures, value + value), answering(Request::kGetFeatures, value, 1),
        answering(Request::kGetFeatures, value, 6),
        answering(Request::kGetFeatures, value, 5, UINT32_MAX),
        answering(Request::kGetFeatures, std::string(8, '\0')),
        answering(Request::kGetProtocolFeatures, "123"),
        answering(Request::kGetProtocolFeatures, std::string(8, '\0')),
        answering(Request::kSetProtocolFeatures, value, 5, 9), answering(Request::kSetOwner, value),
        answering(Request::kGetQueueNum, std::string(8, '\0')), answering(Request::kGetConfig, ""),
        answering(Request::kGetConfig, std::string(12, '\0')),
        answering(Request::kGetConfig, std::string(72, '\0')),
        answering(Request::kGetConfig, std::string(73, '\0')),
        answering(Request::kGetConfig, "", 5, 1U << 30)}) {
    BackendTraits traits = good_backend();
    traits.instead = instead;
    listen(traits);
    const auto device = VhostUserBlock::create(config(), services_);
    ASSERT_FALSE(device);
    EXPECT_FALSE(device.error().text().empty());
  }
}

TEST_F(VhostUserBlockTest, ABackendThatLiesAtTheStartNeedsAReset) {
  log::configure({.level = log::Level::kOff});
  for (const Instead& instead : {answering(Request::kSetFeatures, std::string(8, '\1')),
                                 answering(Request::kSetMemTable, "1"),
                                 answering(Request::kGetInflightFd, std::string(24, '\0')),
                                 answering(Request::kGetInflightFd, std::string(24, '\x7f')),
                                 answering(Request::kSetInflightFd, std::string(8, '\1')),
                                 answering(Request::kSetVringNum, std::string(8, '\1')),
                                 answering(Request::kSetVringKick, std::string(8, '\1')),
                                 answering(Request::kSetVringEnable, std::string(8, '\1'))}) {
    BackendTraits traits = good_backend();
    traits.instead = instead;
    listen(traits);
    build();
    EXPECT_EQ(start(), kDriverOk | kNeedsReset);
    EXPECT_EQ(device_->metrics().activate_fails, 1U);
    mmio_.reset();
    device_.reset();
  }
}

TEST_F(VhostUserBlockTest, AQueueThatStopsNowhereIsTakenBack) {
  for (const std::string& payload : {std::string("123"), std::string(8, '\x7f')}) {
    BackendTraits traits = good_backend();
    traits.instead = answering(Request::kGetVringBase, payload);
    listen(traits);
    build();
    ASSERT_EQ(start(), kDriverOk);
    expect_reads(1);
    const auto queue = device_->stop(0);
    ASSERT_TRUE(queue);
    EXPECT_EQ(queue->save().next_avail, 1);
    mmio_.reset();
    device_.reset();
  }
}

TEST_F(VhostUserBlockTest, ABackendThatSpeaksUnaskedIsGone) {
  BackendTraits traits = good_backend();
  traits.protocol_features &= ~bit(vhost_user::kInflight);
  traits.instead = [](int fd, const FakeMessage& message) {
    if (message.header.request == Request::kSetVringEnable) {
      const std::uint64_t fine = 0;
      const auto bytes = std::as_bytes(std::span(&fine, 1));
      FakeBackend::reply(fd, Request::kSetVringEnable, bytes);
      FakeBackend::reply(fd, Request::kSetVringEnable, bytes);
      return true;
    }
    return false;
  };
  listen(traits);
  build();
  start();
  ASSERT_TRUE(eventually([&] { return driver_->status() == (kDriverOk | kNeedsReset); }));
}

TEST_F(VhostUserBlockTest, ASilentBackendIsNotWaitedForForEver) {
  BackendTraits traits = good_backend();
  traits.instead = [](int, const FakeMessage& message) {
    return message.header.request == Request::kGetConfig;
  };
  listen(traits);
  const auto start = std::chrono::steady_clock::now();
  const auto device = VhostUserBlock::create(config(), services_);
  EXPECT_FALSE(device);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST_F(VhostUserBlockTest, MemoryMustBeShared) {
  listen();
  auto own = memory::GuestMemory::create({.ranges = {{0, 64 << 20}}});
  ASSERT_TRUE(own);
  memory_ = std::move(*own);
  build();
  EXPECT_EQ(start(), kDriverOk | kNeedsReset);
}

}  // namespace
}  // namespace mote::virtio::test

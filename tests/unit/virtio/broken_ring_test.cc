// A ring that lies is found out at any moment, not only in a kick: when an event of the backend has
// the device look, when it starts, when it stops. Each time its queues are stopped, and what is
// saved then can be restored.

#include "virtio/mmio_driver.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

// Looks into its first queue when it is told to.
class LookingDevice final : public Device {
 public:
  DeviceTraits traits() const override {
    return {.type = 42, .features = 0, .queue_sizes = {16, 16}, .config_size = 0};
  }
  void read_config(std::uint32_t, std::span<std::byte>) const override {}
  Result<void> start(std::uint16_t index, Queue queue) override {
    queues[index] = std::move(queue);
    if (index == 0 && look_at_start) look();
    return {};
  }
  std::optional<Queue> stop(std::uint16_t index) override {
    if (index == 0 && look_at_stop) look();
    return std::exchange(queues[index], std::nullopt);
  }
  void kick(std::uint16_t) override { ++kicks; }
  void look() {
    if (queues[0]) static_cast<void>(queues[0]->next());
  }
  bool runs() const { return queues[0] || queues[1]; }

  std::array<std::optional<Queue>, 2> queues;
  bool look_at_start = false;
  bool look_at_stop = false;
  int kicks = 0;
};

class BrokenRing : public ::testing::Test {
 protected:
  BrokenRing() {
    auto made = Mmio::create(parts());
    if (!made) throw std::runtime_error(made.error().text());
    mmio_ = std::move(*made);
    driver_.emplace(*mmio_);
  }
  Mmio::Parts parts() {
    return {.name = "the device",
            .device = &device_,
            .memory = &memory_,
            .interrupt = &interrupt_,
            .run = [](const std::function<void()>& task) { task(); }};
  }
  void start() {
    driver_->negotiate(driver_->offered());
    driver_->set_up_queue(0, first_.addresses());
    driver_->set_up_queue(1, second_.addresses());
    driver_->set_status(kDriverOk);
    turn();
  }
  // What the event loop does with kicks.
  void turn() {
    for (std::uint16_t i = 0; i < 2; ++i) {
      if (drain_eventfd(mmio_->notify_fd(i)) > 0) mmio_->handle_notify(i);
    }
  }
  void expect_stopped() {
    turn();
    EXPECT_EQ(driver_->status(), kDriverOk | kNeedsReset);
    EXPECT_FALSE(device_.runs());
    EXPECT_EQ(mmio_->metrics().rings_broken, 1U);
    // And a reset mends it.
    driver_->set_status(0);
    device_.look_at_start = device_.look_at_stop = false;
    first_.set_available_index(0);
    start();
    EXPECT_EQ(driver_->status(), kDriverOk);
    EXPECT_TRUE(device_.runs());
  }

  memory::GuestMemory memory_ = make_memory();
  TestRing first_{memory_, 16};
  TestRing second_{memory_, 16, 32 << 20};
  FakeInterrupt interrupt_;
  LookingDevice device_;
  std::unique_ptr<Mmio> mmio_;
  std::optional<MmioDriver> driver_;
};

TEST_F(BrokenRing, FoundByAnEventOfTheBackend) {
  start();
  first_.set_available_index(999);
  device_.look();
  expect_stopped();
}

TEST_F(BrokenRing, FoundAtTheStart) {
  device_.look_at_start = true;
  first_.set_available_index(999);
  start();
  expect_stopped();
}

TEST_F(BrokenRing, FoundAtAResume) {
  start();
  mmio_->pause();
  first_.set_available_index(999);
  device_.look_at_start = true;
  mmio_->resume();
  expect_stopped();
}

TEST_F(BrokenRing, FoundOnTheWayIntoAPause) {
  start();
  first_.set_available_index(999);
  device_.look_at_stop = true;
  mmio_->pause();
  device_.look_at_stop = false;
  const auto state = mmio_->save();
  ASSERT_TRUE(state);
  mmio_.reset();
  auto restored = Mmio::restore(parts(), *state);
  ASSERT_TRUE(restored) << restored.error().text();
  mmio_ = std::move(*restored);
  driver_.emplace(*mmio_);
  mmio_->resume();
  EXPECT_EQ(driver_->status(), kDriverOk | kNeedsReset);
  EXPECT_FALSE(device_.runs());
  driver_->set_status(0);
  first_.set_available_index(0);
  start();
  EXPECT_TRUE(device_.runs());
}

TEST_F(BrokenRing, KicksOfItAreHarmless) {
  start();
  first_.set_available_index(999);
  device_.look();
  turn();
  const int kicks = device_.kicks;
  for (std::uint32_t queue = 0; queue < 3; ++queue) driver_->set(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
  turn();
  EXPECT_EQ(device_.kicks, kicks);
}

}  // namespace
}  // namespace mote::virtio::test

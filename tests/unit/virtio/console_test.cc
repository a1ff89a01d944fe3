#include "virtio/console/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/virtio_console.h>

#include <optional>

#include "virtio/fake_port.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kMultiport = 1 << VIRTIO_CONSOLE_F_MULTIPORT;
constexpr std::uint32_t kBuffer = 64;  // bytes of the driver's buffers

std::string message(std::uint32_t id, std::uint16_t event, std::uint16_t value,
                    std::string_view content = "") {
  const virtio_console_control control{.id = id, .event = event, .value = value};
  return std::string(reinterpret_cast<const char*>(&control), sizeof control) +
         std::string(content);
}

// A console of two ports: hvc0, and one with a name.
class ConsoleTest : public ::testing::Test {
 protected:
  ConsoleTest() { make(nullptr); }

  void make(const ConsoleState* state) {
    std::vector<Console::PortParts> parts;
    for (std::size_t i = 0; i < 2; ++i) {
      auto backend = std::make_unique<FakePort>();
      ports[i] = backend.get();
      parts.push_back(
          {.backend = std::move(backend), .name = i == 0 ? "" : "data", .is_console = i == 0});
    }
    auto made = state == nullptr ? Console::create(std::move(parts), *services.loop)
                                 : Console::restore(std::move(parts), *services.loop, *state);
    if (!made) throw std::runtime_error(made.error().text());
    console = std::move(*made);
  }
  // Starts all queues as a driver that has port 1 open, and takes what it is told of it.
  void start(std::uint64_t features = kMultiport) {
    for (std::uint16_t i = 0; i < 6; ++i) {
      drivers[i].emplace(*console, Console::kQueueSize, features, i);
    }
  }
  void stop() {
    for (auto& driver : drivers) driver.reset();
  }
  void tell(std::uint32_t id, std::uint16_t event, std::uint16_t value) {
    drivers[3]->chain().in(message(id, event, value)).push();
    drivers[3]->kick();
    drivers[3]->used();
  }
  void offer_control(int buffers = 8) {
    for (int i = 0; i < buffers; ++i) drivers[2]->chain().out(kBuffer).push();
    drivers[2]->kick();
  }
  // What the driver was told since the last call.
  std::vector<std::string> told() {
    std::vector<std::string> messages;
    for (const Used& used : drivers[2]->ring.take_used()) {
      messages.push_back(
          drivers[2]->ring.written(static_cast<std::uint16_t>(used.head)).substr(0, used.length));
    }
    return messages;
  }
  void open(std::uint32_t id) {
    tell(id, VIRTIO_CONSOLE_PORT_READY, 1);
    tell(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
  }
  void send(std::uint16_t queue, std::string_view text) {
    drivers[queue]->chain().in(text).push();
    drivers[queue]->kick();
  }
  std::vector<std::string> received(std::uint16_t queue) {
    std::vector<std::string> texts;
    for (const Used& used : drivers[queue]->ring.take_used()) {
      texts.push_back(drivers[queue]
                          ->ring.written(static_cast<std::uint16_t>(used.head))
                          .substr(0, used.length));
    }
    return texts;
  }

  TestServices services;
  std::array<FakePort*, 2> ports{};
  std::unique_ptr<Console> console;
  std::array<std::optional<TestDriver>, 6> drivers;
};

TEST_F(ConsoleTest, IsOnePortForADriverThatKnowsOne) {
  start(0);
  send(1, "hello");
  EXPECT_EQ(drivers[1]->used().length, 0U);
  EXPECT_EQ(ports[0]->output, "hello");
  drivers[0]->chain().out(kBuffer).push();
  ports[0]->input = "keys";
  drivers[0]->kick();
  EXPECT_THAT(received(0), testing::ElementsAre("keys"));
  tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  offer_control();
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(console->metrics().control_fails, 1U);
}

TEST_F(ConsoleTest, IntroducesItsPortsInOrder) {
  ports[0]->size = WindowSize{.columns = 132, .rows = 43};
  console->window_changed();
  start();
  offer_control();
  EXPECT_TRUE(told().empty()) << "the driver speaks first";
  tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  EXPECT_THAT(told(), testing::ElementsAre(message(0, VIRTIO_CONSOLE_PORT_ADD, 1),
                                           message(1, VIRTIO_CONSOLE_PORT_ADD, 1)));
  tell(1, VIRTIO_CONSOLE_PORT_READY, 1);
  tell(0, VIRTIO_CONSOLE_PORT_READY, 1);
  offer_control();
  EXPECT_THAT(told(), testing::ElementsAre(
                          message(1, VIRTIO_CONSOLE_PORT_NAME, 1, "data"),
                          message(1, VIRTIO_CONSOLE_PORT_OPEN, 1),
                          message(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1),
                          message(0, VIRTIO_CONSOLE_RESIZE, 1, std::string("\x2b\0\x84\0", 4)),
                          message(0, VIRTIO_CONSOLE_PORT_OPEN, 1)));
}

TEST_F(ConsoleTest, MessagesWaitForBuffers) {
  start();
  tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  offer_control(1);
  EXPECT_EQ(told().size(), 1U);
  offer_control(1);
  EXPECT_THAT(told(), testing::ElementsAre(message(1, VIRTIO_CONSOLE_PORT_ADD, 1)));
}

TEST_F(ConsoleTest, InputIsReadOnlyWhenTheGuestHasAPlaceForIt) {
  start();
  ports[1]->input = std::string(100, 'i');
  open(1);
  ports[1]->tell();
  EXPECT_EQ(ports[1]->reads, 0) << "no buffers";
  drivers[4]->chain().out(kBuffer).push();
  drivers[4]->kick();
  EXPECT_THAT(received(4), testing::ElementsAre(std::string(64, 'i')));
  EXPECT_EQ(ports[1]->input.size(), 36U);
  tell(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
  drivers[4]->chain().out(kBuffer).push();
  drivers[4]->kick();
  EXPECT_TRUE(received(4).empty()) << "no program reads";
  tell(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
  EXPECT_THAT(received(4), testing::ElementsAre(std::string(36, 'i')));
  drivers[4]->chain().out(kBuffer).push();
  drivers[4]->kick();
  ports[1]->input = "later";
  ports[1]->tell();
  EXPECT_THAT(received(4), testing::ElementsAre("later"));
}

TEST_F(ConsoleTest, OutputWithoutRoomWaitsInTheRing) {
  start();
  ports[1]->room = 5;
  send(5, "0123456789");
  send(5, "abc");
  EXPECT_TRUE(drivers[5]->ring.take_used().empty());
  EXPECT_EQ(ports[1]->output, "01234");
  ports[1]->room = 2;
  ports[1]->tell();
  EXPECT_EQ(ports[1]->output, "0123456");
  ports[1]->room = SIZE_MAX;
  ports[1]->tell();
  EXPECT_EQ(ports[1]->output, "0123456789abc");
  EXPECT_EQ(drivers[5]->ring.take_used().size(), 2U);
  EXPECT_EQ(console->metrics().tx_bytes_count, 13U);
}

TEST_F(ConsoleTest, WaitingOutputGoesOnInARestoredDeviceWhereItWas) {
  start();
  ports[1]->room = 5;
  send(5, "0123456789");
  // The queue leaves the device with nothing in flight, and yields the same chain again.
  auto queue = console->stop(5);
  ASSERT_TRUE(queue);
  EXPECT_EQ(queue->in_flight(), 0U);
  const ConsoleState state = console->save();
  EXPECT_EQ(state.ports[1].sent, 5U);
  auto& driver = *drivers[5];
  TestServices again;
  std::vector<Console::PortParts> parts;
  auto backend = std::make_unique<FakePort>();
  const FakePort& port = *backend;
  parts.push_back({.backend = std::make_unique<FakePort>(), .name = "", .is_console = true});
  parts.push_back({.backend = std::move(backend), .name = "data", .is_console = false});
  auto restored = Console::restore(std::move(parts), *again.loop, state);
  ASSERT_TRUE(restored);
  ASSERT_TRUE((*restored)->start(5, std::move(*queue)));
  (*restored)->kick(5);
  EXPECT_EQ(port.output, "56789");
  EXPECT_EQ(driver.ring.take_used().size(), 1U);
  static_cast<void>((*restored)->stop(5));
}

TEST_F(ConsoleTest, AConsoleWaitsForAMomentAndThenDrops) {
  start();
  ports[0]->room = 3;
  send(1, "kernel message");
  EXPECT_TRUE(drivers[1]->ring.take_used().empty());
  const auto began = std::chrono::steady_clock::now();
  while (ports[0]->output == "ker" && drivers[1]->ring.used_index() == 0) {
    ASSERT_TRUE(services.loop->run_once(1000));
  }
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(150));
  EXPECT_EQ(drivers[1]->ring.take_used().size(), 1U);
  send(1, "more");
  EXPECT_EQ(drivers[1]->ring.take_used().size(), 1U) << "dropped at once";
  EXPECT_EQ(ports[0]->output, "ker");
  EXPECT_EQ(console->metrics().tx_dropped_bytes, 15U);
  ports[0]->room = SIZE_MAX;
  ports[0]->tell();
  send(1, "again");
  EXPECT_EQ(ports[0]->output, "keragain");
}

TEST_F(ConsoleTest, OutputForNobodyIsDropped) {
  start();
  ports[1]->present = false;
  send(5, "lost");
  EXPECT_EQ(drivers[5]->ring.take_used().size(), 1U);
  EXPECT_EQ(ports[1]->output, "");
  EXPECT_EQ(console->metrics().tx_dropped_bytes, 4U);
}

TEST_F(ConsoleTest, TheDriverHearsWhoComesAndGoes) {
  ports[1]->present = false;
  start();
  offer_control();
  tell(1, VIRTIO_CONSOLE_PORT_READY, 1);
  EXPECT_THAT(told(), testing::ElementsAre(message(1, VIRTIO_CONSOLE_PORT_NAME, 1, "data")));
  for (const bool present : {true, false, true}) {
    ports[1]->present = present;
    ports[1]->tell();
    ports[1]->tell();
    EXPECT_THAT(told(),
                testing::ElementsAre(message(1, VIRTIO_CONSOLE_PORT_OPEN, present ? 1 : 0)));
  }
}

TEST_F(ConsoleTest, ALongChainLeavesTheThreadToOthers) {
  start();
  const std::string text(1 << 20, 'x');
  drivers[5]->chain().in(text).push();
  console->kick(5);
  EXPECT_LT(ports[1]->output.size(), text.size() / 2);
  EXPECT_EQ(drivers[5]->host.agains, 1);
  drivers[5]->kick();
  EXPECT_EQ(ports[1]->output, text);
  EXPECT_EQ(drivers[5]->used().length, 0U);
}

TEST_F(ConsoleTest, ManyBytesOfInputLeaveTheThreadToOthers) {
  start();
  open(1);
  ports[1]->input = std::string(2 << 20, 'i');
  for (int i = 0; i < 60; ++i) drivers[4]->chain().out(16384).push();
  console->kick(4);
  EXPECT_EQ(drivers[4]->host.agains, 1);
  EXPECT_EQ(console->metrics().rx_bytes_count, 256U << 10);
  drivers[4]->kick();
  EXPECT_EQ(drivers[4]->ring.take_used().size(), 60U);
}

TEST_F(ConsoleTest, WindowSizeIsTold) {
  start();
  open(0);
  offer_control();
  told();
  int changes = 0;
  console->set_config_listener([&] { ++changes; });
  ports[0]->size = WindowSize{.columns = 80, .rows = 25};
  console->window_changed();
  EXPECT_THAT(told(), testing::ElementsAre(
                          message(0, VIRTIO_CONSOLE_RESIZE, 1, std::string("\x19\0\x50\0", 4))));
  EXPECT_EQ(changes, 1);
  std::array<std::byte, 12> config{};
  console->read_config(0, config);
  EXPECT_EQ(config[0], std::byte{80});
  EXPECT_EQ(config[2], std::byte{25});
  EXPECT_EQ(config[4], std::byte{2}) << "ports";
  console->window_changed();
  EXPECT_TRUE(told().empty());
}

TEST_F(ConsoleTest, EmergencyWritesComeOutAtOnce) {
  const std::array letter{std::byte{'E'}, std::byte{}, std::byte{}, std::byte{}};
  EXPECT_TRUE(console->write_config(8, letter)) << "before any driver";
  EXPECT_TRUE(console->write_config(8, std::span(letter).first(1)));
  EXPECT_EQ(ports[0]->output, "EE");
  for (const std::uint32_t offset : {0U, 2U, 4U, 9U}) {
    EXPECT_FALSE(console->write_config(offset, std::span(letter).first(1))) << offset;
  }
  ports[0]->room = 0;
  EXPECT_TRUE(console->write_config(8, letter));
  EXPECT_EQ(console->metrics().tx_dropped_bytes, 1U);
  EXPECT_EQ(console->metrics().emergency_writes, 3U);
}

TEST_F(ConsoleTest, StrangeControlMessagesAreCounted) {
  start();
  std::uint64_t fails = 0;
  for (const std::string& text :
       {std::string("short"), message(2, VIRTIO_CONSOLE_PORT_READY, 1),
        message(UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1), message(1, VIRTIO_CONSOLE_PORT_ADD, 1),
        message(1, VIRTIO_CONSOLE_RESIZE, 1), message(0, 0xffff, 1)}) {
    drivers[3]->chain().in(text).push();
    drivers[3]->kick();
    EXPECT_EQ(drivers[3]->used().length, 0U);
    EXPECT_EQ(console->metrics().control_fails, ++fails);
  }
  drivers[3]->chain().out(8).push();
  drivers[3]->kick();
  EXPECT_EQ(drivers[3]->used().length, 0U);
  EXPECT_EQ(console->metrics().control_fails, ++fails);
  // A buffer that is too small for what it is to be told.
  tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  drivers[2]->chain().out(7).push();
  drivers[2]->kick();
  EXPECT_EQ(console->metrics().control_fails, ++fails);
  EXPECT_THAT(told(), testing::ElementsAre(""));
}

TEST_F(ConsoleTest, BuffersOfTheWrongDirectionAreReturned) {
  start();
  open(1);
  drivers[5]->chain().out(100).push();
  drivers[5]->kick();
  EXPECT_EQ(drivers[5]->used().length, 0U);
  ports[1]->input = "input";
  drivers[4]->chain().in("x").push();
  drivers[4]->kick();
  EXPECT_EQ(drivers[4]->used().length, 0U);
  EXPECT_EQ(ports[1]->input, "input");
}

TEST_F(ConsoleTest, AChainThatShrankIsDoneWith) {
  start();
  ports[1]->room = 5;
  send(5, "0123456789");
  drivers[5]->ring.put(0, {.address = 0, .length = 3, .flags = 0, .next = 0});
  for (std::uint16_t i = 0; i < Console::kQueueSize; ++i) {
    drivers[5]->ring.put(i, {.address = 0x10000, .length = 3, .flags = 0, .next = 0});
  }
  ports[1]->room = SIZE_MAX;
  ports[1]->tell();
  EXPECT_EQ(ports[1]->output, "01234");
  EXPECT_EQ(drivers[5]->ring.take_used().size(), 1U);
}

TEST_F(ConsoleTest, AFailingBackendIsCountedAndLeavesTheRest) {
  start();
  open(1);
  ports[1]->broken = true;
  send(5, "lost");
  EXPECT_EQ(drivers[5]->ring.take_used().size(), 1U);
  drivers[4]->chain().out(kBuffer).push();
  drivers[4]->kick();
  EXPECT_TRUE(received(4).empty());
  EXPECT_EQ(console->metrics().tx_fails, 1U);
  EXPECT_EQ(console->metrics().rx_fails, 1U);
  send(1, "the other port");
  EXPECT_EQ(ports[0]->output, "the other port");
}

TEST_F(ConsoleTest, ADriverKnowsItsPortsInARestoredDevice) {
  start();
  tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
  open(1);
  offer_control();
  told();
  // No buffers are left: what is due of port 0 comes later.
  stop();
  drivers[3].emplace(*console, Console::kQueueSize, kMultiport, 3);
  tell(0, VIRTIO_CONSOLE_PORT_READY, 1);
  stop();
  const ConsoleState state = console->save();
  make(&state);
  ports[1]->present = false;
  start();
  offer_control();
  // What was due is told now, and that nobody is at the other end of port 1 any more.
  EXPECT_THAT(told(), testing::ElementsAre(message(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1),
                                           message(0, VIRTIO_CONSOLE_PORT_OPEN, 1)));
  ports[1]->tell();
  EXPECT_THAT(told(), testing::ElementsAre(message(1, VIRTIO_CONSOLE_PORT_OPEN, 0)));
  ports[1]->present = true;
  ports[1]->input = "still open";
  drivers[4]->chain().out(kBuffer).push();
  drivers[4]->kick();
  EXPECT_THAT(received(4), testing::ElementsAre("still open"));
}

TEST_F(ConsoleTest, AResetForgetsTheDriver) {
  start();
  open(1);
  stop();
  console->reset();
  const ConsoleState state = console->save();
  for (const PortState& port : state.ports) {
    EXPECT_FALSE(port.ready || port.guest_open || port.told_open || port.sent != 0 ||
                 port.due != 0);
  }
}

TEST_F(ConsoleTest, AStateThatDoesNotFitIsRefused) {
  const auto refused = [&](const ConsoleState& state) {
    std::vector<Console::PortParts> parts;
    parts.push_back({.backend = std::make_unique<FakePort>(), .name = "", .is_console = true});
    return !Console::restore(std::move(parts), *services.loop, state);
  };
  EXPECT_FALSE(refused({.ports = {PortState{}}}));
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({.ports = {PortState{}, PortState{}}}));
  EXPECT_TRUE(refused({.ports = {PortState{.due = 0x20}}}));
}

}  // namespace
}  // namespace mote::virtio::test

// A console's data: input, output, and who waits for whom.
#include "log_lines.h"
#include "virtio/console_rig.h"

namespace mote::virtio::test {
namespace {

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
  const mote::test::LogLines log;
  ports[1]->broken = true;
  for (int i = 0; i < 3; ++i) send(5, "lost");
  EXPECT_EQ(drivers[5]->ring.take_used().size(), 3U);
  drivers[4]->chain().out(kBuffer).push();
  drivers[4]->kick();
  EXPECT_TRUE(received(4).empty());
  EXPECT_EQ(console->metrics().tx_fails, 3U);
  EXPECT_EQ(console->metrics().rx_fails, 1U);
  EXPECT_EQ(log.count("console: "), 1) << log.text();
  send(1, "the other port");
  EXPECT_EQ(ports[0]->output, "the other port");
}

}  // namespace
}  // namespace mote::virtio::test

// What a console and its driver tell each other of ports, and what of it is saved.
#include "virtio/console_rig.h"

namespace mote::virtio::test {
namespace {

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

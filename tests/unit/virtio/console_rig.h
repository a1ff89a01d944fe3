// A console of two ports on fake ends, with a driver of each of its queues.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/virtio_console.h>

#include <array>
#include <optional>

#include "virtio/console/device.h"
#include "virtio/fake_port.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {

inline constexpr std::uint64_t kMultiport = 1 << VIRTIO_CONSOLE_F_MULTIPORT;
inline constexpr std::uint32_t kBuffer = 64;  // bytes of the driver's buffers

inline std::string message(std::uint32_t id, std::uint16_t event, std::uint16_t value,
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

}  // namespace mote::virtio::test

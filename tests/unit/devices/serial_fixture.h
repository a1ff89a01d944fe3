// A serial port with an interrupt that counts and a sink that a test fills up.
#pragma once

#include <linux/serial_reg.h>

#include <memory>

#include "devices/chip.h"
#include "devices/serial.h"

namespace mote::devices {

class SerialTest : public testing::Test {
 protected:
  SerialWiring wiring() {
    return {.interrupt = irq,
            .sink = sink,
            .on_room = [this] { ++rooms; },
            .on_blocked = [this] { ++blocks; },
            .on_broken = [this] { ++breaks; }};
  }
  std::uint8_t in(std::uint64_t offset) { return in8(*port, offset); }
  void out(std::uint64_t offset, int value) { out8(*port, offset, value); }
  std::string receive() {
    std::string text;
    while ((in(UART_LSR)&UART_LSR_DR) != 0) text += static_cast<char>(in(UART_RX));
    return text;
  }

  CountingInterrupt irq;
  FakeSink sink;
  int rooms = 0;
  int blocks = 0;
  int breaks = 0;
  std::unique_ptr<Serial> port = std::make_unique<Serial>(wiring());
};

}  // namespace mote::devices

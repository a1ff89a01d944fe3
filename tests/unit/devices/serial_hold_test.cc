// Output of drivers that poll, which leaves in batches.

#include "devices/serial_fixture.h"

namespace mote::devices {
namespace {

// A port that holds what a driver that polls sends in a burst.
class HoldingSerialTest : public SerialTest {
 protected:
  HoldingSerialTest() { use(wiring()); }
  void use(SerialWiring wanted) {
    wanted.on_hold = [this] { ++holds; };
    port = std::make_unique<Serial>(wanted);
  }
  // As a console driver does it: each byte once the transmitter says that it is empty.
  void poll_out(std::string_view text) {
    for (const char byte : text) {
      ASSERT_EQ(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
      out(UART_TX, byte);
    }
  }
  int holds = 0;
};

TEST_F(HoldingSerialTest, FirstByteLeavesAtOnceAndTheOthersTogether) {
  poll_out("a");
  EXPECT_EQ(sink.text, "a");
  EXPECT_EQ(holds, 0);
  poll_out("bcd");
  EXPECT_EQ(sink.text, "a");
  EXPECT_EQ(holds, 1);
  EXPECT_TRUE(port->release_output());
  EXPECT_EQ(sink.text, "abcd");
  EXPECT_EQ(sink.writes, 2);
  poll_out("e");
  EXPECT_EQ(holds, 1) << "the burst goes on";
  EXPECT_TRUE(port->release_output());
  EXPECT_FALSE(port->release_output()) << "it is over";
  poll_out("f");
  EXPECT_EQ(sink.text, "abcdef");
  poll_out("g");
  EXPECT_EQ(holds, 2);
  EXPECT_EQ(port->metrics().write_count, 6);
}

TEST_F(HoldingSerialTest, ADriverThatIsThroughLetsGo) {
  poll_out("message");
  EXPECT_EQ(sink.text, "m");
  out(UART_IER, UART_IER_RDI);
  EXPECT_EQ(sink.text, "message");
  poll_out("more");
  in(UART_IIR);
  EXPECT_EQ(sink.text, "messagemore");
  poll_out("last");
  port.reset();
  EXPECT_EQ(sink.text, "messagemorelast");
}

TEST_F(HoldingSerialTest, HoldsNoMoreThanItsRoom) {
  const std::string text(1000, 'x');
  poll_out(text);
  EXPECT_EQ(sink.text.size(), 1 + 3 * 256U);
  EXPECT_EQ(sink.writes, 4);
  EXPECT_EQ(port->save().unsent.size(), 1000 - sink.text.size());
  port->release_output();
  EXPECT_EQ(sink.text, text);
}

TEST_F(HoldingSerialTest, WhatIsHeldIsSavedAndSentByWhoeverGoesOn) {
  poll_out("saved");
  auto restored = Serial::restore(port->save(), wiring());
  ASSERT_TRUE(restored);
  sink.text.clear();
  (*restored)->resume_output();
  EXPECT_EQ(sink.text, "aved");
  SerialState state = port->save();
  state.unsent.resize(257);
  EXPECT_FALSE(Serial::restore(state, wiring()));
}

TEST_F(HoldingSerialTest, AFullSinkHoldsTheGuestWhereNothingMayBeLost) {
  auto waiting = wiring();
  waiting.when_full = WhenFull::kWait;
  use(waiting);
  sink.room = 3;
  poll_out("abcdef");
  EXPECT_TRUE(port->release_output());
  EXPECT_EQ(sink.text, "abc");
  EXPECT_EQ(in(UART_LSR), 0);
  EXPECT_EQ(blocks, 1);
  EXPECT_FALSE(port->release_output()) << "resume_output() is what it waits for";
  for (int i = 0; i < 100; ++i) out(UART_TX, '!');
  EXPECT_EQ(port->metrics().error_count, 100 - 13) << "16 bytes fit";
  sink.room = 100;
  port->resume_output();
  EXPECT_EQ(sink.text, "abcdef!!!!!!!!!!!!!");
  EXPECT_EQ(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

TEST_F(HoldingSerialTest, ADriverPollsUntilItWorksByInterrupts) {
  auto told = wiring();
  int drives = 0;
  told.on_driven = [&drives] { ++drives; };
  use(told);
  poll_out(std::string(255, 'x'));
  EXPECT_FALSE(port->polls());
  poll_out("x");
  EXPECT_TRUE(port->polls());
  out(UART_IER, UART_IER_RDI);
  EXPECT_TRUE(port->polls());
  EXPECT_EQ(drives, 0);
  out(UART_IER, UART_IER_RDI | UART_IER_THRI);
  EXPECT_EQ(drives, 1);
  EXPECT_FALSE(port->polls());
  out(UART_IER, 0);
  EXPECT_FALSE(port->polls()) << "it has to show it again";
}

TEST_F(HoldingSerialTest, ABrokenSinkHoldsNobody) {
  poll_out("a");
  sink.broken = true;
  poll_out("bc");
  EXPECT_TRUE(port->release_output());
  EXPECT_FALSE(port->release_output());
  EXPECT_EQ(port->metrics().error_count, 2);
  EXPECT_EQ(breaks, 1);
}

}  // namespace
}  // namespace mote::devices

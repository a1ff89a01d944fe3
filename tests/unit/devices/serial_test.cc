#include <linux/serial_reg.h>

#include "devices/serial_fixture.h"

namespace mote::devices {
namespace {

TEST_F(SerialTest, ByteLeavesAtOnce) {
  out(UART_TX, 'a');
  EXPECT_EQ(sink.text, "a");
  EXPECT_EQ(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
  EXPECT_EQ(irq.count, 0);
}

TEST_F(SerialTest, TransmitterInterruptsOnEnablingAndAfterEachAcknowledgedByte) {
  out(UART_IER, UART_IER_THRI);
  EXPECT_EQ(irq.take(), 1);
  EXPECT_EQ(in(UART_IIR), UART_IIR_THRI);
  EXPECT_EQ(in(UART_IIR), UART_IIR_NO_INT) << "reading acknowledges";
  out(UART_TX, 'a');
  out(UART_TX, 'b');
  EXPECT_EQ(irq.take(), 1) << "the second byte finds the first one's interrupt pending";
  EXPECT_EQ(in(UART_IIR), UART_IIR_THRI);
  EXPECT_EQ(sink.text, "ab");
  out(UART_IER, UART_IER_THRI);
  EXPECT_EQ(irq.take(), 0) << "it was enabled already";
}

TEST_F(SerialTest, InterruptDrivenBytesLeaveInOneWrite) {
  out(UART_FCR, UART_FCR_ENABLE_FIFO);
  out(UART_IER, UART_IER_THRI);
  for (const char byte : std::string("0123456789abcdef")) out(UART_TX, byte);
  EXPECT_EQ(sink.text, "0123456789abcdef");
  EXPECT_EQ(sink.writes, 1);
  out(UART_TX, 'x');
  EXPECT_EQ(sink.writes, 1) << "waits for more";
  in(UART_LSR);
  EXPECT_EQ(sink.text, "0123456789abcdefx");
  out(UART_TX, 'y');
  out(UART_IER, 0);
  EXPECT_TRUE(sink.text.ends_with("xy"));
  out(UART_IER, UART_IER_THRI);
  out(UART_TX, 'z');
  port.reset();
  EXPECT_TRUE(sink.text.ends_with("xyz")) << "the end of the port leaves nothing behind";
}

TEST_F(SerialTest, FullSinkLosesBytesAndCountsThem) {
  sink.room = 2;
  for (const char byte : std::string("abcd")) out(UART_TX, byte);
  EXPECT_EQ(sink.text, "ab");
  EXPECT_EQ(port->metrics().error_count, 2);
  EXPECT_EQ(port->metrics().write_count, 2);
  EXPECT_NE(in(UART_LSR)&UART_LSR_THRE, 0);
  EXPECT_EQ(blocks, 0);
}

TEST_F(SerialTest, FullSinkHoldsTheTransmitterWhereNothingMayBeLost) {
  auto waiting = wiring();
  waiting.when_full = WhenFull::kWait;
  port = std::make_unique<Serial>(waiting);
  out(UART_FCR, UART_FCR_ENABLE_FIFO);
  out(UART_IER, UART_IER_THRI);
  in(UART_IIR);
  irq.take();
  sink.room = 3;
  for (const char byte : std::string("abcde")) out(UART_TX, byte);
  EXPECT_EQ(in(UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT), 0);
  EXPECT_EQ(in(UART_IIR) & 0x0f, UART_IIR_NO_INT);
  EXPECT_EQ(blocks, 1);
  irq.take();
  sink.room = 1;
  port->resume_output();
  EXPECT_EQ(blocks, 2);
  EXPECT_EQ(irq.take(), 0);
  sink.room = 100;
  port->resume_output();
  EXPECT_EQ(sink.text, "abcde");
  EXPECT_EQ(irq.take(), 1);
  EXPECT_EQ(in(UART_IIR) & 0x0f, UART_IIR_THRI);
  EXPECT_NE(in(UART_LSR)&UART_LSR_THRE, 0);
  EXPECT_EQ(port->metrics().error_count, 0);
}

TEST_F(SerialTest, DriverThatWritesIntoAHeldTransmitterLosesItsOwnBytesOnly) {
  auto waiting = wiring();
  waiting.when_full = WhenFull::kWait;
  port = std::make_unique<Serial>(waiting);
  sink.room = 0;
  for (int i = 0; i < 1000; ++i) out(UART_TX, 'a' + i % 26);
  sink.room = 100;
  port->resume_output();
  EXPECT_EQ(sink.text, "abcdefghijklmnop");
  EXPECT_EQ(port->metrics().error_count, 1000 - 16);
}

TEST_F(SerialTest, BrokenSinkNeverHoldsTheGuest) {
  auto waiting = wiring();
  waiting.when_full = WhenFull::kWait;
  port = std::make_unique<Serial>(waiting);
  sink.broken = true;
  out(UART_TX, 'a');
  EXPECT_NE(in(UART_LSR)&UART_LSR_THRE, 0);
  EXPECT_EQ(port->metrics().error_count, 1);
  EXPECT_EQ(breaks, 1);
}

TEST_F(SerialTest, InputArrivesInOrderWithAnInterrupt) {
  out(UART_IER, UART_IER_RDI);
  EXPECT_EQ(irq.take(), 0);
  EXPECT_EQ(port->feed(bytes_of("hello")), 5);
  EXPECT_EQ(irq.take(), 1);
  EXPECT_EQ(in(UART_IIR), UART_IIR_RDI);
  EXPECT_EQ(receive(), "hello");
  EXPECT_EQ(in(UART_IIR), UART_IIR_NO_INT);
  EXPECT_EQ(in(UART_RX), 0) << "nothing is left";
  EXPECT_EQ(port->metrics().read_count, 5);
}

TEST_F(SerialTest, BytesBelowTheTriggerLevelTimeOut) {
  out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
  out(UART_IER, UART_IER_RDI);
  port->feed(bytes_of("1234567"));
  EXPECT_EQ(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
  port->feed(bytes_of("8"));
  EXPECT_EQ(in(UART_IIR), 0xc0 | UART_IIR_RDI);
}

TEST_F(SerialTest, FullInputIsRefusedAndRoomTold) {
  const std::string input(kSerialInputRoom + 10, 'x');
  EXPECT_EQ(port->feed(bytes_of(input)), kSerialInputRoom);
  EXPECT_EQ(port->feed(bytes_of("y")), 0);
  for (int i = 0; i < 40; ++i) in(UART_RX);
  EXPECT_EQ(rooms, 0);
  for (int i = 0; i < 10; ++i) in(UART_RX);
  EXPECT_EQ(rooms, 1) << "told once, when it is worth it";
  EXPECT_EQ(port->feed(bytes_of("y")), 1);
  EXPECT_EQ(receive().size(), 15);
  EXPECT_EQ(rooms, 1);
}

TEST_F(SerialTest, ClearingTheInputFifoTellsOfRoom) {
  port->feed(bytes_of(std::string(100, 'x')));
  out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
  EXPECT_EQ(in(UART_LSR)&UART_LSR_DR, 0);
  EXPECT_EQ(rooms, 1);
}

TEST_F(SerialTest, InputComesInWindowsThatTheGuestOpens) {
  auto windowed = wiring();
  windowed.windowed = true;
  port = std::make_unique<Serial>(windowed);
  EXPECT_EQ(port->feed(bytes_of("abc")), 0);
  out(UART_MCR, UART_MCR_OUT1 | UART_MCR_LOOP);
  out(UART_MCR, UART_MCR_RTS | UART_MCR_DTR | UART_MCR_OUT2);
  EXPECT_EQ(rooms, 0) << "looped back, OUT1 does not reach the line";
  EXPECT_EQ(port->feed(bytes_of("abc")), 0);
  out(UART_MCR, UART_MCR_OUT1);
  EXPECT_EQ(rooms, 1);
  std::size_t taken = 0;
  for (std::size_t count = 1; count > 0; taken += count) {
    count = port->feed(bytes_of(std::string(50, 'x')));
    EXPECT_EQ(receive().size(), count);
  }
  EXPECT_EQ(taken, kSerialInputWindow);
  out(UART_MCR, UART_MCR_OUT1);
  EXPECT_EQ(port->feed(bytes_of("y")), 0) << "it has not risen";
  rooms = 0;
  out(UART_MCR, 0);
  EXPECT_EQ(rooms, 0);
  out(UART_MCR, UART_MCR_OUT1);
  EXPECT_EQ(rooms, 1);
  EXPECT_EQ(port->feed(bytes_of("y")), 1);
  const SerialState saved = port->save();
  EXPECT_EQ(saved.window_left, kSerialInputWindow - 1);
  SerialState wrong = saved;
  wrong.window_left = kSerialInputWindow + 1;
  EXPECT_FALSE(Serial::restore(wrong, windowed));
}

TEST_F(SerialTest, EndOfInputDropsDataSetReadyAfterTheLastByte) {
  out(UART_IER, UART_IER_MSI);
  EXPECT_EQ(in(UART_MSR), UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
  port->feed(bytes_of("z"));
  port->end_input();
  EXPECT_EQ(in(UART_MSR)&UART_MSR_DSR, UART_MSR_DSR);
  EXPECT_EQ(irq.take(), 0);
  EXPECT_EQ(in(UART_RX), 'z');
  EXPECT_EQ(irq.take(), 1);
  EXPECT_EQ(in(UART_IIR), UART_IIR_MSI);
  EXPECT_EQ(in(UART_MSR), UART_MSR_CTS | UART_MSR_DCD | UART_MSR_DDSR);
  EXPECT_EQ(in(UART_MSR), UART_MSR_CTS | UART_MSR_DCD) << "reading clears the delta";
  EXPECT_EQ(in(UART_IIR), UART_IIR_NO_INT);
}

TEST_F(SerialTest, EndOfNoInputDropsDataSetReadyAtOnce) {
  port->end_input();
  EXPECT_EQ(in(UART_MSR), UART_MSR_CTS | UART_MSR_DCD | UART_MSR_DDSR);
}

TEST_F(SerialTest, CausesComeByPriority) {
  out(UART_IER, 0x0f);
  out(UART_MCR, UART_MCR_LOOP);
  for (std::size_t i = 0; i <= kSerialInputRoom; ++i) out(UART_TX, 'x');
  EXPECT_EQ(in(UART_IIR), UART_IIR_RLSI);
  EXPECT_NE(in(UART_LSR)&UART_LSR_OE, 0);
  EXPECT_EQ(in(UART_IIR), UART_IIR_RDI);
  EXPECT_EQ(receive().size(), kSerialInputRoom);
  EXPECT_EQ(in(UART_IIR), UART_IIR_THRI);
  EXPECT_EQ(in(UART_IIR), UART_IIR_MSI);
  EXPECT_NE(in(UART_MSR)&UART_MSR_ANY_DELTA, 0);
  EXPECT_EQ(in(UART_IIR), UART_IIR_NO_INT);
  EXPECT_EQ(sink.text, "") << "looped back";
}

TEST_F(SerialTest, UnmaskingWhatIsPendingIsAnEdge) {
  port->feed(bytes_of("x"));
  EXPECT_EQ(irq.take(), 0);
  out(UART_IER, UART_IER_RDI);
  EXPECT_EQ(irq.take(), 1);
}

TEST_F(SerialTest, StateGoesOnInANewPort) {
  out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
  out(UART_DLL, 0x34);
  out(UART_DLM, 0x12);
  out(UART_LCR, UART_LCR_WLEN8);
  out(UART_SCR, 0x5a);
  out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14);
  out(UART_IER, UART_IER_THRI | UART_IER_RDI);
  out(UART_MCR, UART_MCR_RTS);
  port->feed(bytes_of("in"));
  out(UART_TX, 'o');
  out(UART_TX, 'u');
  const SerialState saved = port->save();
  EXPECT_EQ(saved.unsent.size(), 2);

  FakeSink other;
  CountingInterrupt other_irq;
  auto restored = Serial::restore(saved, {.interrupt = other_irq, .sink = other});
  ASSERT_TRUE(restored);
  (*restored)->resume_output();
  EXPECT_EQ(other.text, "ou");
  EXPECT_EQ(other_irq.take(), 1);
  port = std::move(*restored);
  EXPECT_EQ(in(UART_LCR), UART_LCR_WLEN8);
  EXPECT_EQ(in(UART_SCR), 0x5a);
  EXPECT_EQ(in(UART_IER), UART_IER_THRI | UART_IER_RDI);
  EXPECT_EQ(in(UART_MCR), UART_MCR_RTS);
  EXPECT_EQ(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
  EXPECT_EQ(receive(), "in");
  out(UART_LCR, UART_LCR_DLAB);
  EXPECT_EQ(in(UART_DLL), 0x34);
  EXPECT_EQ(in(UART_DLM), 0x12);
}

TEST_F(SerialTest, StateThatNoPortCanHaveIsRefused) {
  SerialState state;
  state.received.resize(kSerialInputRoom + 1);
  EXPECT_FALSE(Serial::restore(state, wiring()));
  state = {};
  state.unsent.resize(257);
  EXPECT_FALSE(Serial::restore(state, wiring()));
  state = {};
  state.interrupt_enable = 0x80;
  EXPECT_FALSE(Serial::restore(state, wiring()));
}

TEST_F(SerialTest, WideAndOutlyingAccessesAreNobodys) {
  expect_no_wide_registers(*port);
  EXPECT_EQ(in(kSerialPorts), 0xff);
  out(~0ULL, 1);
  EXPECT_EQ(sink.text, "");
  EXPECT_EQ(in(UART_IER), 0);
  EXPECT_EQ(port->metrics().missed_read_count, 22);
  EXPECT_EQ(port->metrics().missed_write_count, 22);
}

TEST_F(SerialTest, EveryByteToEveryRegisterIsBorne) {
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t offset = 0; offset < kSerialPorts; ++offset) {
      for (int value = 0; value < 256; ++value) {
        out(offset, value);
        for (std::uint64_t other = 0; other < kSerialPorts; ++other) in(other);
        port->feed(bytes_of("x"));
      }
    }
  }
}

}  // namespace
}  // namespace mote::devices

// What Linux's 8250 driver looks at before it believes that a port is a 16550A.
#include <linux/serial_reg.h>

#include "devices/chip.h"
#include "devices/serial.h"

namespace mote::devices {
namespace {

class SerialProbeTest : public testing::Test {
 protected:
  std::uint8_t in(std::uint64_t offset) { return in8(port, offset); }
  void out(std::uint64_t offset, int value) { out8(port, offset, value); }

  CountingInterrupt irq;
  FakeSink sink;
  Serial port{{.interrupt = irq, .sink = sink}};
};

TEST_F(SerialProbeTest, InterruptEnableRegisterHoldsFourBits) {
  out(UART_IER, 0);
  EXPECT_EQ(in(UART_IER), 0);
  out(UART_IER, 0xff);
  EXPECT_EQ(in(UART_IER), 0x0f);
}

TEST_F(SerialProbeTest, ModemLinesLoopBack) {
  out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
  EXPECT_EQ(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
  out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
  EXPECT_EQ(in(UART_MSR),
            UART_MSR_RI | UART_MSR_DSR | UART_MSR_DDCD | UART_MSR_DCTS | UART_MSR_DDSR);
  out(UART_MCR, UART_MCR_LOOP);
  EXPECT_EQ(in(UART_MSR), UART_MSR_TERI | UART_MSR_DDSR) << "ring: the trailing edge alone";
}

TEST_F(SerialProbeTest, FifosSayThatTheyWork) {
  EXPECT_EQ(in(UART_IIR), UART_IIR_NO_INT);
  out(UART_FCR, UART_FCR_ENABLE_FIFO);
  EXPECT_EQ(in(UART_IIR) >> 6, 3);
  out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
  EXPECT_EQ(in(UART_IIR) & 0x20, 0) << "no 16750";
  out(UART_FCR, 0);
  EXPECT_EQ(in(UART_IIR) >> 6, 0);
}

TEST_F(SerialProbeTest, DivisorStandsBehindItsLatch) {
  out(UART_IER, UART_IER_RDI);
  out(UART_LCR, UART_LCR_DLAB);
  out(UART_DLL, 0x01);
  out(UART_DLM, 0x02);
  EXPECT_EQ(in(UART_DLL), 0x01);
  EXPECT_EQ(in(UART_DLM), 0x02);
  EXPECT_EQ(sink.text, "");
  out(UART_LCR, 0);
  EXPECT_EQ(in(UART_IER), UART_IER_RDI);
}

TEST_F(SerialProbeTest, TransmitterInterruptComesBackEachTimeItIsEnabled) {
  // serial8250_do_startup: without this the driver falls back to a timer.
  for (int round = 0; round < 2; ++round) {
    out(UART_IER, UART_IER_THRI);
    EXPECT_EQ(in(UART_IIR), UART_IIR_THRI);
    out(UART_IER, 0);
    EXPECT_EQ(in(UART_IIR), UART_IIR_NO_INT);
  }
  EXPECT_EQ(irq.count, 2);
}

TEST_F(SerialProbeTest, ScratchRegisterHoldsAByte) {
  out(UART_SCR, 0xa5);
  EXPECT_EQ(in(UART_SCR), 0xa5);
}

}  // namespace
}  // namespace mote::devices

#include "devices/i8042.h"

#include "devices/chip.h"

namespace mote::devices {
namespace {

constexpr std::uint64_t kData = 0;
constexpr std::uint64_t kCommand = 4;
constexpr int kOutputFull = 1;
constexpr int kAuxData = 0x20;

class I8042Test : public testing::Test {
 protected:
  std::uint8_t status() { return in8(chip, kCommand); }
  std::vector<int> drain() {
    std::vector<int> bytes;
    while ((status() & kOutputFull) != 0) bytes.push_back(in8(chip, kData));
    return bytes;
  }
  std::vector<int> command(int value) {
    out8(chip, kCommand, value);
    return drain();
  }
  std::vector<int> command(int value, int parameter) {
    out8(chip, kCommand, value);
    out8(chip, kData, parameter);
    return drain();
  }
  std::vector<int> keyboard(int value) {
    out8(chip, kData, value);
    return drain();
  }

  using Bytes = std::vector<int>;
  CountingInterrupt irq;
  EndRecorder end;
  I8042 chip{irq, end.sink()};
};

TEST_F(I8042Test, ResetCommandEndsTheMachine) {
  command(0xfe);
  ASSERT_EQ(end.ends.size(), 1);
  EXPECT_EQ(end.ends[0].reason, EndReason::kReset);
  EXPECT_EQ(chip.metrics().reset_count, 1);
  command(0xff);
  command(0xd1, 0x03);
  EXPECT_EQ(end.ends.size(), 1) << "the reset line stays high";
  command(0xd1, 0x02);
  EXPECT_EQ(end.ends.size(), 2) << "the output port's bit 0 is the reset line";
}

TEST_F(I8042Test, ControllerAnswersWhatDriversAskFirst) {
  EXPECT_EQ(status() & kOutputFull, 0);
  EXPECT_EQ(status() & 0x10, 0x10) << "keyboard not locked";
  EXPECT_EQ(command(0xaa), Bytes{0x55});
  EXPECT_EQ(command(0xab), Bytes{0});
  const Bytes configuration = command(0x20);
  ASSERT_EQ(configuration.size(), 1);
  command(0x60, configuration[0] & ~1);
  EXPECT_EQ(command(0x20), Bytes{configuration[0] & ~1});
  command(0xad);
  EXPECT_EQ(command(0x20)[0] & 0x10, 0x10);
  command(0xae);
  EXPECT_EQ(command(0x20)[0] & 0x10, 0);
}

TEST_F(I8042Test, MouseIsAbsentWithoutAWait) {
  out8(chip, kCommand, 0xd3);
  out8(chip, kData, 0x5a);
  EXPECT_EQ(status() & (kOutputFull | kAuxData), kOutputFull) << "answered, but not by a mouse";
  // The driver leaves that byte unread and asks on.
  EXPECT_EQ(command(0xa9), Bytes{1});
  EXPECT_EQ(command(0xd4, 0xf2), Bytes{});
}

TEST_F(I8042Test, KeyboardAnswersEveryCommand) {
  EXPECT_EQ(keyboard(0xf2), (Bytes{0xfa, 0xab, 0x83}));
  EXPECT_EQ(keyboard(0xff), (Bytes{0xfa, 0xaa}));
  EXPECT_EQ(keyboard(0xee), Bytes{0xee});
  for (const int with_parameter : {0xed, 0xf3, 0xf0}) {
    EXPECT_EQ(keyboard(with_parameter), Bytes{0xfa});
    EXPECT_EQ(keyboard(0xff), Bytes{0xfa}) << "a parameter, no reset";
  }
  for (const int plain : {0xf4, 0xf5, 0xf6}) EXPECT_EQ(keyboard(plain), Bytes{0xfa});
  EXPECT_EQ(keyboard(0x99), Bytes{0xfe});
}

TEST_F(I8042Test, EachByteIsAnEdgeWhereTheGuestWantsIt) {
  out8(chip, kData, 0xf2);
  EXPECT_EQ(irq.take(), 1);
  in8(chip, kData);
  EXPECT_EQ(irq.take(), 1);
  in8(chip, kData);
  in8(chip, kData);
  EXPECT_EQ(irq.take(), 1) << "nothing follows the last one";
  command(0x60, 0x64);
  out8(chip, kData, 0xf2);
  EXPECT_EQ(irq.take(), 0);
}

TEST_F(I8042Test, CtrlAltDelInBothScanCodeSets) {
  ASSERT_TRUE(chip.trigger_ctrl_alt_del());
  ASSERT_TRUE(chip.trigger_ctrl_alt_del()) << "the same keys wait still";
  EXPECT_EQ(drain(), (Bytes{0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d}));
  command(0x60, 0x25);
  ASSERT_TRUE(chip.trigger_ctrl_alt_del());
  EXPECT_EQ(drain(), (Bytes{0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14}));
  command(0xad);
  const auto off = chip.trigger_ctrl_alt_del();
  ASSERT_FALSE(off);
  EXPECT_EQ(off.error().kind(), ErrorKind::kState);
}

TEST_F(I8042Test, GuestThatReadsNothingLosesItsOwnAnswers) {
  for (int i = 0; i < 1000; ++i) out8(chip, kData, 0xf2);
  EXPECT_LE(chip.save().output.size(), 16U);
  EXPECT_GT(chip.metrics().error_count, 0U);
}

TEST_F(I8042Test, StateGoesOnInANewController) {
  out8(chip, kData, 0xf2);
  out8(chip, kCommand, 0x60);
  auto restored = I8042::restore(chip.save(), irq, end.sink());
  ASSERT_TRUE(restored);
  out8(**restored, kData, 0x44);
  EXPECT_EQ((*restored)->save().configuration, 0x44);
  EXPECT_EQ(in8(**restored, kData), 0xfa);
  EXPECT_EQ(in8(**restored, kData), 0xab);

  I8042State wrong;
  wrong.output.resize(17);
  EXPECT_FALSE(I8042::restore(wrong, irq, end.sink()));
}

TEST_F(I8042Test, WideAndOutlyingAccessesAreNobodys) {
  expect_no_wide_registers(chip);
  EXPECT_EQ(in8(chip, 1), 0xff);
  out8(chip, 2, 0xfe);
  EXPECT_TRUE(end.ends.empty());
  EXPECT_EQ(chip.metrics().missed_write_count, 22);
}

TEST_F(I8042Test, EveryByteToBothPortsIsBorne) {
  for (int command_byte = 0; command_byte < 256; ++command_byte) {
    for (int value = 0; value < 256; ++value) {
      out8(chip, kCommand, command_byte);
      out8(chip, kData, value);
      if (value % 3 == 0) in8(chip, kData);
    }
  }
  EXPECT_LE(chip.save().output.size(), 16U);
}

}  // namespace
}  // namespace mote::devices

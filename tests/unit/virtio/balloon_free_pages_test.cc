// The balloon: pages that the guest reports or hints as free.
#include "virtio/balloon_fixture.h"

namespace mote::virtio::test {
namespace {

TEST_F(BalloonTest, ReportedPagesGoBackToTheHost) {
  start();
  use(kPages, 4 * kMib);
  send_range(kReporting, kPages + kMib, 2 * kMib);
  EXPECT_EQ(resident(kPages, 4 * kMib), 2 * kMib);
  // Only whole pages.
  send_range(kReporting, kPages + 100, 2 * kPage);
  EXPECT_EQ(resident(kPages, kMib), kMib - kPage);
  EXPECT_EQ(balloon_->metrics().free_page_report_count, 2U);
  EXPECT_EQ(balloon_->metrics().free_page_report_freed, 2 * kMib + kPage);
  EXPECT_EQ(balloon_->metrics().free_page_report_fails, 0U);
}

TEST_F(BalloonTest, HintedPagesGoBackWhileTheirRunLasts) {
  start();
  use(kPages, 8 * kMib);
  send_range(kHinting, kPages, kMib);
  EXPECT_EQ(balloon_->metrics().free_page_hint_fails, 1U) << "nobody asked";
  EXPECT_EQ(balloon_->hinting()->host_cmd, 0U);
  EXPECT_FALSE(balloon_->hinting()->guest_cmd);

  ASSERT_TRUE(balloon_->start_hinting(true));
  EXPECT_EQ(changes_, 1);
  const std::uint32_t run = read_config().free_page_hint_cmd_id;
  EXPECT_EQ(run, 2U);
  send_range(kHinting, kPages, kMib);
  EXPECT_EQ(balloon_->metrics().free_page_hint_fails, 2U) << "the guest has not begun";
  send_command(run);
  send_range(kHinting, kPages, kMib);
  EXPECT_EQ(resident(kPages, 8 * kMib), 7 * kMib);
  EXPECT_EQ(balloon_->hinting()->guest_cmd, run);
  send_command(VIRTIO_BALLOON_CMD_ID_STOP);
  EXPECT_EQ(read_config().free_page_hint_cmd_id, std::uint32_t{VIRTIO_BALLOON_CMD_ID_DONE});
  EXPECT_EQ(changes_, 2);
  send_range(kHinting, kPages + kMib, kMib);
  EXPECT_EQ(resident(kPages, 8 * kMib), 7 * kMib) << "the pages are in use again";
  EXPECT_EQ(balloon_->metrics().free_page_hint_freed, kMib);
}

TEST_F(BalloonTest, AStopEndsARunAndTheNextHasAnotherNumber) {
  start();
  use(kPages, kMib);
  ASSERT_TRUE(balloon_->start_hinting(false));
  send_command(2);
  send_command(VIRTIO_BALLOON_CMD_ID_STOP);
  EXPECT_EQ(balloon_->hinting()->host_cmd, 2U) << "the guest keeps its pages until it is told";
  ASSERT_TRUE(balloon_->stop_hinting());
  EXPECT_EQ(balloon_->hinting()->host_cmd, 1U);
  ASSERT_TRUE(balloon_->start_hinting(true));
  EXPECT_EQ(balloon_->hinting()->host_cmd, 3U);
  send_command(2);
  send_range(kHinting, kPages, kMib);
  EXPECT_EQ(resident(kPages, kMib), kMib) << "the hints of an older run";
  // Lies about the commands change nothing else.
  send_command(1);
  send_command(0);
  send_command(0xffffffff);
  EXPECT_EQ(balloon_->hinting()->host_cmd, 3U);
}

TEST_F(BalloonTest, HintingIsAskedOfADriverThatHasIt) {
  EXPECT_EQ(balloon_->start_hinting(true).error().kind(), ErrorKind::kState);
  EXPECT_EQ(balloon_->stop_hinting().error().kind(), ErrorKind::kState);
  build({.amount_mib = 1});
  EXPECT_EQ(balloon_->start_hinting(true).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(balloon_->stop_hinting().error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(balloon_->hinting());
}

}  // namespace
}  // namespace mote::virtio::test

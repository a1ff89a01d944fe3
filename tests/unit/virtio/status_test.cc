#include "virtio/transport/status.h"

#include <gtest/gtest.h>
#include <linux/virtio_config.h>

#include <set>
#include <vector>

namespace mote::virtio::test {
namespace {

constexpr std::uint8_t kA = VIRTIO_CONFIG_S_ACKNOWLEDGE;
constexpr std::uint8_t kD = kA | VIRTIO_CONFIG_S_DRIVER;
constexpr std::uint8_t kF = kD | VIRTIO_CONFIG_S_FEATURES_OK;
constexpr std::uint8_t kO = kF | VIRTIO_CONFIG_S_DRIVER_OK;
constexpr std::uint8_t kNeeds = VIRTIO_CONFIG_S_NEEDS_RESET;
constexpr std::uint8_t kFailed = VIRTIO_CONFIG_S_FAILED;

TEST(Status, TheLadderIsClimbedInOrder) {
  EXPECT_EQ(status_step(0, kA), StatusStep::kSet);
  EXPECT_EQ(status_step(kA, kD), StatusStep::kSet);
  EXPECT_EQ(status_step(0, kD), StatusStep::kSet);
  EXPECT_EQ(status_step(kD, kF), StatusStep::kFeatures);
  EXPECT_EQ(status_step(kF, kO), StatusStep::kStart);
}

TEST(Status, AnythingElseIsRefused) {
  const std::set<std::pair<int, int>> allowed{{0, kA}, {0, kD}, {kA, kD}, {kD, kF}, {kF, kO}};
  for (const std::uint8_t from : {std::uint8_t{0}, kA, kD, kF, kO}) {
    for (std::uint32_t to = 1; to < 256; ++to) {
      const StatusStep step = status_step(from, to);
      if (to == from) {
        EXPECT_EQ(step, StatusStep::kNone) << +from;
      } else if (to == (from | kFailed)) {
        EXPECT_EQ(step, StatusStep::kSet) << +from;
      } else if (!allowed.contains({from, static_cast<int>(to)})) {
        EXPECT_EQ(step, StatusStep::kRefused) << +from << " -> " << to;
      } else {
        EXPECT_NE(step, StatusStep::kRefused) << +from << " -> " << to;
      }
    }
    EXPECT_EQ(status_step(from, 0), StatusStep::kReset);
    EXPECT_EQ(status_step(from, 0x100 | from), StatusStep::kRefused) << "wider than the register";
    EXPECT_EQ(status_step(from, 0x100), StatusStep::kRefused);
  }
}

TEST(Status, NeedsResetIsTheDevices) {
  EXPECT_EQ(status_step(kO, kO | kNeeds), StatusStep::kRefused);
  EXPECT_EQ(status_step(kO | kNeeds, kO | kNeeds), StatusStep::kNone);
  EXPECT_EQ(status_step(kO | kNeeds, kO), StatusStep::kNone) << "it may be left out";
  EXPECT_EQ(status_step(kO | kNeeds, kO | kFailed), StatusStep::kSet);
  EXPECT_EQ(status_step(kO | kNeeds, 0), StatusStep::kReset);
}

TEST(Status, AfterFailedOnlyAResetIsHeard) {
  EXPECT_EQ(status_step(kD | kFailed, kF | kFailed), StatusStep::kRefused);
  EXPECT_EQ(status_step(kD | kFailed, kD), StatusStep::kRefused);
  EXPECT_EQ(status_step(kD | kFailed, 0), StatusStep::kReset);
}

TEST(Status, KnowsWhatTheRegisterCanHold) {
  for (const int status :
       {0, +kA, +kD, +kF, +kO, kO | kNeeds, kD | kFailed, kO | kFailed | kNeeds}) {
    EXPECT_TRUE(status_is_reachable(static_cast<std::uint8_t>(status))) << status;
  }
  for (const int status : {2, 4, 8, 12, 16, 32, 7, 9, kD | kNeeds, +kNeeds}) {
    EXPECT_FALSE(status_is_reachable(static_cast<std::uint8_t>(status))) << status;
  }
}

}  // namespace
}  // namespace mote::virtio::test

#include "kvm/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/time.h>

#include <csignal>
#include <filesystem>

namespace mote::kvm {
namespace {

TEST(Probe, MissingDeviceIsAbsent) {
  const ProbeResult result = probe("/no/such/kvm");
  EXPECT_EQ(result.usability, Usability::kAbsent);
  EXPECT_THAT(result.reason, testing::HasSubstr("/no/such/kvm"));
}

TEST(Probe, DeviceThatIsNoKvmIsUnusable) {
  const ProbeResult result = probe("/dev/null");
  EXPECT_EQ(result.usability, Usability::kUnusable);
  EXPECT_THAT(result.reason, testing::HasSubstr("/dev/null"));
}

TEST(Probe, HostsKvmGetsAVerdictWithItsReason) {
  if (!std::filesystem::exists("/dev/kvm")) GTEST_SKIP() << "/dev/kvm is missing";
  struct sigaction before{};
  ::sigaction(SIGALRM, nullptr, &before);
  const ProbeResult result = probe();
  EXPECT_NE(result.usability, Usability::kAbsent);
  if (result.usability == Usability::kUsable) {
    EXPECT_GE(result.ring0_mips, kLeastRing0Mips);
    EXPECT_EQ(result.reason, "");
  } else {
    EXPECT_NE(result.reason, "");
  }
  // The alarm that guards the guest is gone.
  struct sigaction after{};
  ::sigaction(SIGALRM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
  itimerval timer{};
  ::getitimer(ITIMER_REAL, &timer);
  EXPECT_EQ(timer.it_value.tv_sec, 0);
  EXPECT_EQ(timer.it_value.tv_usec, 0);
}

}  // namespace
}  // namespace mote::kvm

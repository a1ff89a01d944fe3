#include "isolation/jail/rights.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace mote::isolation::jail {
namespace {

// Documentation/admin-guide/hw-vuln/core-scheduling.rst and include/uapi/linux/prctl.h: no machine
// that this was made on has it.
TEST(CoreCookie, IsAskedForTheWholeProcess) {
  const PrctlCall call = core_cookie_call();
  EXPECT_EQ(call.option, 62);        // PR_SCHED_CORE
  EXPECT_EQ(call.arguments[0], 1U);  // PR_SCHED_CORE_CREATE
  EXPECT_EQ(call.arguments[1], 0U);  // this process
  EXPECT_EQ(call.arguments[2], 1U);  // its thread group
  EXPECT_EQ(call.arguments[3], 0U);  // no place for a cookie
}

TEST(CoreCookie, IsNotMissedWhereNoSiblingsAre) {
  EXPECT_TRUE(judge_core_cookie(0).value());
  EXPECT_FALSE(judge_core_cookie(ENODEV).value());
  EXPECT_FALSE(judge_core_cookie(EINVAL).value());
  for (const int code : {EPERM, ENOMEM, ESRCH}) EXPECT_FALSE(judge_core_cookie(code).has_value());
}

TEST(CoreCookie, AsksThisKernel) { EXPECT_TRUE(take_core_cookie().has_value()); }

}  // namespace
}  // namespace mote::isolation::jail

// What Kvm::open() says of a host that has no KVM, or keeps it from this user.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvm/kvm.h"
#include "temp_dir.h"

namespace mote::kvm {
namespace {

using testing::HasSubstr;

TEST(KvmOpen, AHostWithoutKvm) {
  const test::TempDir place;
  const auto kvm = Kvm::open(place / "kvm");
  ASSERT_FALSE(kvm);
  EXPECT_EQ(kvm.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(kvm.error().text(), HasSubstr(place / "kvm"));
  EXPECT_THAT(kvm.error().text(), HasSubstr("has no KVM"));
}

TEST(KvmOpen, AUserWhoMayNot) {
  constexpr uid_t kNobody = 65534;
  const test::TempDir place;
  place.write("kvm", "");
  ASSERT_EQ(::chmod((place / "kvm").c_str(), 0), 0);
  const bool is_root = ::geteuid() == 0;
  if (is_root) {
    ASSERT_EQ(::chmod(place.path().c_str(), 0755), 0);
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  const auto kvm = Kvm::open(place / "kvm");
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  ASSERT_FALSE(kvm);
  EXPECT_EQ(kvm.error().kind(), ErrorKind::kPermission);
  EXPECT_THAT(kvm.error().text(), HasSubstr("group"));
}

TEST(KvmOpen, SomethingElse) {
  const auto kvm = Kvm::open("/dev/null");
  ASSERT_FALSE(kvm);
  EXPECT_THAT(kvm.error().text(), HasSubstr("'/dev/null' is no KVM"));
}

}  // namespace
}  // namespace mote::kvm

// Every kind of virtio device has a rig to be fuzzed with (else this does not compile), a target
// that is built from it, and holds out against random bytes for a moment. `./test fuzz` looks for
// longer, and where it goes.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "base/log.h"
#include "fuzz/virtio/guest.h"
#include "fuzz/virtio/rigs.h"
#include "virtio/own_queues.h"

namespace mote::fuzz {
namespace {

using Devices = virtio::test::DevicesWithOwnQueues;

template <typename D>
class DeviceRigs : public ::testing::Test {
 protected:
  DeviceRigs() { log::configure({.level = log::Level::kOff}); }
  ~DeviceRigs() override { log::configure({}); }
};
TYPED_TEST_SUITE(DeviceRigs, Devices);

TYPED_TEST(DeviceRigs, NothingIsTheLeastOfInputs) { fuzz_device<TypeParam>({}); }

TYPED_TEST(DeviceRigs, HoldsOutAgainstRandomBytes) {
  std::minstd_rand random(7);
  constexpr int kInputs = 300;
  for (int i = 0; i < kInputs; ++i) {
    std::vector<std::uint8_t> bytes(random() % 600);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() >> 8);
    fuzz_device<TypeParam>(bytes);
  }
}

}  // namespace
}  // namespace mote::fuzz

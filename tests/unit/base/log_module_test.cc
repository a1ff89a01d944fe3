#include "base/log_module.h"

#include <gtest/gtest.h>

namespace mote::log {
namespace {

constexpr std::string_view kBlock = "/home/x/src/mote/src/virtio/block/requests.cc";

TEST(LogModule, IsAFileFromTheSourceTreesTopOn) {
  EXPECT_EQ(in_source_tree(kBlock), "src/virtio/block/requests.cc");
  EXPECT_EQ(in_source_tree("/elsewhere/log_test.cc"), "/elsewhere/log_test.cc");
  EXPECT_EQ(in_source_tree(""), "");
}

TEST(LogModule, IsChosenByABeginningOfItsName) {
  for (const char* prefix : {"", "v", "virtio", "virtio::", "virtio::block", "virtio/block",
                             "virtio::block::requests"}) {
    EXPECT_TRUE(module_begins_with(kBlock, prefix)) << prefix;
  }
  for (const char* prefix :
       {"x", "block", "virtio:", "virtio:block", "virtio::net", "virtio::block::requests::more",
        "virtio::block::requests.cc", "src::virtio", "Virtio", "/virtio", "virtio//block"}) {
    EXPECT_FALSE(module_begins_with(kBlock, prefix)) << prefix;
  }
}

TEST(LogModule, HasANameOfFirecrackersToo) {
  EXPECT_TRUE(module_begins_with(kBlock, "vmm"));
  EXPECT_TRUE(module_begins_with(kBlock, "vmm::devices::virtio::block"));
  EXPECT_FALSE(module_begins_with(kBlock, "vmm::devices::virtio::net"));
  EXPECT_FALSE(module_begins_with(kBlock, "api_server"));
  struct Case {
    const char* file;
    const char* prefix;
  };
  for (const Case& known :
       {Case{"a/src/api/http/server.cc", "api_server::http"},
        Case{"a/src/programs/mote_vmm/main.cc", "firecracker"},
        Case{"a/src/devices/serial.cc", "vmm::devices::legacy::serial"},
        Case{"a/src/metadata/store.cc", "vmm::mmds"},
        Case{"a/src/machine/machine.cc", "vmm::machine"}, Case{"a/src/kvm/vcpu.cc", "vmm::kvm"}}) {
    EXPECT_TRUE(module_begins_with(known.file, known.prefix)) << known.file;
    EXPECT_FALSE(module_begins_with(known.file, "x")) << known.file;
  }
}

}  // namespace
}  // namespace mote::log

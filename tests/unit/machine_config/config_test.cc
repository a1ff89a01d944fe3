#include "machine/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json_describe.h"
#include "machine/device_list.h"

namespace mote::machine {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

template <typename Config>
std::string error_of(const Config& config) {
  const Result<void> result = check(config);
  return result ? "no error" : result.error().text();
}

virtio::BlockConfig drive(std::string id, bool root = false) {
  virtio::BlockConfig config;
  config.drive_id = std::move(id);
  config.path_on_host = "/image";
  config.is_root_device = root;
  return config;
}

TEST(MachineConfig, AllowsOneTo32Vcpus) {
  for (const std::uint32_t count : {1U, 3U, 32U}) {
    EXPECT_EQ(error_of(MachineConfig{.vcpu_count = count}), "no error") << count;
  }
  EXPECT_EQ(error_of(MachineConfig{.vcpu_count = 0}), "vcpu_count is 0; it must be from 1 to 32");
  EXPECT_EQ(error_of(MachineConfig{.vcpu_count = 33}), "vcpu_count is 33; it must be from 1 to 32");
  EXPECT_NE(error_of(MachineConfig{.vcpu_count = UINT32_MAX}), "no error");
}

TEST(MachineConfig, ADriveHasNoMoreQueuesThanThereAreVcpus) {
  VmConfig config{.boot_source = {.kernel_image_path = "/kernel"}, .drives = {}, .machine = {}};
  config.machine.vcpu_count = 2;
  config.drives = {drive("a"), drive("b")};
  config.drives[1].num_queues = 2;
  EXPECT_EQ(error_of(config), "no error");
  config.drives[1].num_queues = 3;
  EXPECT_EQ(error_of(config),
            "drive 'b': num_queues is 3, and the machine has 2 vCPUs; one each is the most");
}

TEST(MachineConfig, PairsVcpusWithSmt) {
  for (const std::uint32_t count : {1U, 2U, 8U, 32U}) {
    EXPECT_EQ(error_of(MachineConfig{.vcpu_count = count, .smt = true}), "no error") << count;
  }
  for (const std::uint32_t count : {3U, 31U}) {
    EXPECT_THAT(error_of(MachineConfig{.vcpu_count = count, .smt = true}),
                HasSubstr("it must be 1 or even"));
  }
}

TEST(MachineConfig, BoundsMemory) {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{127}, kMaxMemoryMib}) {
    EXPECT_EQ(error_of(MachineConfig{.mem_size_mib = size}), "no error") << size;
  }
  for (const std::uint64_t size : {std::uint64_t{0}, kMaxMemoryMib + 1, std::uint64_t{1} << 44,
                                   std::uint64_t{1} << 63, UINT64_MAX}) {
    EXPECT_EQ(error_of(MachineConfig{.mem_size_mib = size}),
              fmt::format("mem_size_mib is {}; it must be from 1 to 134217727, the most that a "
                          "process can map",
                          size));
  }
}

TEST(MachineConfig, WantsWholeHugePages) {
  for (const HugePages pages : {HugePages::TwoMib, HugePages::Transparent}) {
    EXPECT_EQ(error_of(MachineConfig{.mem_size_mib = 128, .huge_pages = pages}), "no error");
    EXPECT_THAT(error_of(MachineConfig{.mem_size_mib = 127, .huge_pages = pages}),
                HasSubstr("it must be even"));
  }
  EXPECT_THAT(error_of(MachineConfig{.mem_size_mib = 127, .huge_pages = HugePages::TwoMib}),
              HasSubstr("huge_pages 2M"));
}

TEST(MachineConfig, RefusesTheTemplateOfAnotherArchitecture) {
  for (const CpuTemplate known : {CpuTemplate::None, CpuTemplate::C3, CpuTemplate::T2,
                                  CpuTemplate::T2S, CpuTemplate::T2CL, CpuTemplate::T2A}) {
    EXPECT_EQ(error_of(MachineConfig{.cpu_template = known}), "no error");
  }
  const Result<void> result = check(MachineConfig{.cpu_template = CpuTemplate::V1N1});
  EXPECT_EQ(result.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(result.error().text(), StartsWith("cpu_template is V1N1, which is for Arm"));
}

TEST(MachineConfig, AWrongCpuConfigIsNamed) {
  VmConfig config{.boot_source = {.kernel_image_path = "/kernel"}, .drives = {}, .machine = {}};
  config.cpu_config = CpuConfig{.kvm_capabilities = {"56"}};
  EXPECT_EQ(error_of(config), "no error");
  config.cpu_config->kvm_capabilities = {"fast"};
  EXPECT_THAT(error_of(config), StartsWith("cpu-config: kvm_capabilities[0] is \"fast\""));
}

TEST(BootSource, RefusesPathsThatNameNothing) {
  EXPECT_EQ(error_of(BootSource{.kernel_image_path = "k"}), "no error");
  EXPECT_EQ(error_of(BootSource{}), "kernel_image_path is empty; it must be the path of a file");
  EXPECT_EQ(error_of(BootSource{.kernel_image_path = "k", .initrd_path = ""}),
            "initrd_path is empty; it must be the path of a file");
  EXPECT_EQ(error_of(BootSource{.kernel_image_path = "k", .boot_args = ""}), "no error");
}

TEST(BootSource, RefusesNulCharacters) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(error_of(BootSource{.kernel_image_path = text}),
            "kernel_image_path is \"a\\u0000b\"; it must be without NUL characters");
  EXPECT_THAT(error_of(BootSource{.kernel_image_path = "k", .initrd_path = text}),
              StartsWith("initrd_path is"));
  EXPECT_THAT(error_of(BootSource{.kernel_image_path = "k", .boot_args = text}),
              StartsWith("boot_args is"));
}

VmConfig with_drives(std::vector<virtio::BlockConfig> drives) {
  return {.boot_source = {.kernel_image_path = "k"}, .drives = std::move(drives), .machine = {}};
}

TEST(Drives, MustDifferInId) {
  EXPECT_EQ(error_of(with_drives({drive("a"), drive("A"), drive("a_")})), "no error");
  EXPECT_EQ(error_of(with_drives({drive("a"), drive("b"), drive("a")})),
            "drives: two have the id \"a\"; each must have its own");
}

TEST(Drives, HaveAtMostOneRoot) {
  EXPECT_EQ(error_of(with_drives({drive("a"), drive("b", true)})), "no error");
  EXPECT_EQ(error_of(with_drives({drive("a", true), drive("c"), drive("b", true)})),
            "drives: drive 'a' and drive 'b' are both to be the root device; at most one may");
}

TEST(Drives, AreCheckedOneByOne) {
  virtio::BlockConfig without_path = drive("b");
  without_path.path_on_host.reset();
  EXPECT_THAT(error_of(with_drives({drive("a"), without_path})),
              AllOf(StartsWith("drives: drive 'b'"), HasSubstr("path_on_host is missing")));
  EXPECT_NE(error_of(with_drives({drive("")})), "no error");
}

TEST(Devices, AreListedInTheGuestsOrderWithTheRootFirst) {
  const VmConfig config = with_drives({drive("b"), drive("a"), drive("r", true), drive("c")});
  std::vector<std::string> names;
  for (const ListedDevice& device : list_devices(config)) {
    names.push_back(device.name);
    EXPECT_EQ(device.section, "drives");
    EXPECT_EQ(device.name, fmt::format("drive '{}'", device.id));
  }
  EXPECT_THAT(names, testing::ElementsAre("drive 'r'", "drive 'b'", "drive 'a'", "drive 'c'"));
  EXPECT_TRUE(list_devices(with_drives({})).empty());
}

TEST(Devices, OfAKindThatHasOneAtMostHaveNoId) {
  VmConfig config = with_drives({drive("a")});
  config.entropy.emplace();
  const auto devices = list_devices(config);
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[1].section, "entropy");
  EXPECT_EQ(devices[1].id, "");
  EXPECT_EQ(devices[1].name, "entropy device");
  EXPECT_EQ(devices[1].config, &*config.entropy);
  EXPECT_EQ(error_of(config), "no error");
}

TEST(Devices, AreAsManyAsHaveAnInterrupt) {
  std::vector<virtio::BlockConfig> drives;
  for (std::size_t i = 0; i < kMaxDevices; ++i) drives.push_back(drive(fmt::format("d{}", i)));
  EXPECT_EQ(error_of(with_drives(drives)), "no error");
  drives.push_back(drive("one-more"));
  EXPECT_EQ(error_of(with_drives(drives)), "there are 18 devices; a machine has room for 17");
}

TEST(Pmem, CanBeTheRootAndThenComesFirst) {
  VmConfig config = with_drives({drive("a")});
  config.pmem = {{.id = "data", .path_on_host = "/d"},
                 {.id = "root", .path_on_host = "/r", .root_device = true}};
  EXPECT_EQ(error_of(config), "no error");
  const auto devices = list_devices(config);
  ASSERT_EQ(devices.size(), 3U);
  EXPECT_EQ(devices[1].name, "pmem 'root'");
  config.drives[0].is_root_device = true;
  EXPECT_THAT(error_of(config), HasSubstr("both to be the root device"));
}

TEST(Balloon, IsAtMostAsLargeAsMemory) {
  VmConfig config = with_drives({});
  config.balloon = virtio::BalloonConfig{.amount_mib = 128};
  EXPECT_EQ(error_of(config), "no error");
  EXPECT_EQ(list_devices(config).at(0).name, "balloon");
  config.balloon->amount_mib = 129;
  EXPECT_EQ(error_of(config),
            "balloon: amount_mib is 129; it must be at most 128, the guest's memory");
}

TEST(VmConfig, SaysWhichSectionIsWrong) {
  VmConfig config{.boot_source = {.kernel_image_path = "k"}, .drives = {drive("a")}, .machine = {}};
  EXPECT_EQ(error_of(config), "no error");
  config.machine.vcpu_count = 0;
  EXPECT_THAT(error_of(config), StartsWith("machine-config: vcpu_count is 0"));
  config.machine.vcpu_count = 1;
  config.drives.push_back(drive("a"));
  EXPECT_THAT(error_of(config), StartsWith("drives: two have"));
  config.boot_source.kernel_image_path.clear();
  EXPECT_THAT(error_of(config), StartsWith("boot-source: kernel_image_path"));
}

// Clients of Firecracker never meet fields of ours.
TEST(VmConfig, WritesWhatFirecrackerWouldUnlessAskedForMore) {
  VmConfig config{.boot_source = {.kernel_image_path = "k"}, .drives = {drive("a")}, .machine = {}};
  for (const char* section :
       {R"("boot-source":{"kernel_image_path":"k","initrd_path":null,"boot_args":null})",
        R"("drives":[{"drive_id":"a","path_on_host":"/image","is_root_device":false,)"
        R"("partuuid":null,"is_read_only":null,"cache_type":null,"io_engine":null,)"
        R"("rate_limiter":null,"socket":null}])",
        R"("machine-config":{"vcpu_count":1,"mem_size_mib":128,"smt":false,)"
        R"("track_dirty_pages":false,"huge_pages":"None"})",
        R"("network-interfaces":[])", R"("vsock":null)", R"("entropy":null)", R"("balloon":null)",
        R"("pmem":[])", R"("memory-hotplug":null)", R"("mmds-config":null)"}) {
    EXPECT_THAT(json::write(config), HasSubstr(section));
  }
  config.boot_source.boot_protocol = BootProtocol::Linux64;
  config.machine.huge_pages = HugePages::TwoMib;
  EXPECT_THAT(json::write(config),
              AllOf(HasSubstr(R"("boot_protocol":"linux64")"), HasSubstr(R"("huge_pages":"2M")")));
  const Result<VmConfig> again = json::read<VmConfig>(json::write(config));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(json::write(*again), json::write(config));
}

}  // namespace
}  // namespace mote::machine

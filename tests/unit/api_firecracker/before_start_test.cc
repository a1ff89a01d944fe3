// What may be asked before the start, and what then no longer may.
#include "api_firecracker/api_fixture.h"

namespace mote::api::firecracker::test {
namespace {

using BeforeStart = ApiTest;

TEST_F(BeforeStart, AFreshOneTellsWhatItIs) {
  EXPECT_EQ(get("/"), R"({"id":"test-vm","state":"Not started","vmm_version":"1.17.0",)"
                      R"("app_name":"mote-vmm","mote_version":"9.8.7"})");
  EXPECT_EQ(get("/version"), R"({"firecracker_version":"1.17.0","mote_version":"9.8.7"})");
  EXPECT_EQ(get("/machine-config"),
            R"({"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,)"
            R"("huge_pages":"None"})");
}

TEST_F(BeforeStart, AnUpdateOfTheMachineChangesWhatItNames) {
  EXPECT_EQ(put("/machine-config", R"({"vcpu_count":2,"mem_size_mib":256,"smt":true})"), 204);
  EXPECT_EQ(patch("/machine-config", R"({"mem_size_mib":512})"), 204);
  EXPECT_EQ(get("/machine-config"),
            R"({"vcpu_count":2,"mem_size_mib":512,"smt":true,"track_dirty_pages":false,)"
            R"("huge_pages":"None"})");
  EXPECT_EQ(patch("/machine-config", "{}"), 400);
  EXPECT_EQ(patch("/machine-config", R"({"mem_size_mib":null})"), 400);
}

TEST_F(BeforeStart, ARefusedUpdateChangesNothing) {
  EXPECT_EQ(put("/machine-config", R"({"vcpu_count":2,"mem_size_mib":256,"smt":true})"), 204);
  EXPECT_EQ(put("/balloon", R"({"amount_mib":200,"deflate_on_oom":true})"), 204);
  const std::string before = config();
  EXPECT_EQ(patch("/machine-config", R"({"mem_size_mib":1024,"vcpu_count":3})"), 400);
  EXPECT_EQ(patch("/machine-config", R"({"mem_size_mib":255,"huge_pages":"2M"})"), 400);
  EXPECT_EQ(put("/machine-config", R"({"vcpu_count":1,"mem_size_mib":100})"), 400);
  EXPECT_EQ(put("/balloon", R"({"amount_mib":257,"deflate_on_oom":true})"), 400);
  EXPECT_EQ(config(), before);
}

TEST_F(BeforeStart, ATemplateOfTheProcessorIsTheLastThatWasPut) {
  EXPECT_EQ(put("/cpu-config", R"({"kvm_capabilities":["1"]})"), 204);
  EXPECT_EQ(patch("/machine-config", R"({"cpu_template":"T2"})"), 204);
  start();
  EXPECT_EQ(booted.machine.cpu_template, machine::CpuTemplate::T2);
  EXPECT_FALSE(booted.cpu_config);
}

TEST_F(BeforeStart, ATemplateStaysWhereNoneIsGiven) {
  EXPECT_EQ(put("/machine-config", R"({"vcpu_count":1,"mem_size_mib":128,"cpu_template":"T2"})"),
            204);
  EXPECT_EQ(put("/machine-config", R"({"vcpu_count":1,"mem_size_mib":64})"), 204);
  EXPECT_NE(get("/machine-config").find(R"("cpu_template":"T2")"), std::string::npos);
  EXPECT_EQ(patch("/machine-config", R"({"cpu_template":"None"})"), 204);
  EXPECT_EQ(get("/machine-config").find("cpu_template"), std::string::npos);
}

TEST_F(BeforeStart, AKernelThatIsNotThereIsRefused) {
  EXPECT_EQ(put("/boot-source", R"({"kernel_image_path":"/nowhere"})"), 400);
  EXPECT_EQ(put("/boot-source",
                fmt::format(R"({{"kernel_image_path":"{}","initrd_path":"/no"}})", kernel)),
            400);
  EXPECT_EQ(put("/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)), 204);
}

TEST_F(BeforeStart, TheSameIdAgainReplaces) {
  EXPECT_EQ(put("/drives/a", drive("a")), 204);
  EXPECT_EQ(put("/drives/b", drive("b")), 204);
  EXPECT_EQ(put("/drives/a", drive("a", R"(,"is_read_only":true)")), 204);
  start();
  ASSERT_EQ(booted.drives.size(), 2U);
  EXPECT_EQ(booted.drives[0].drive_id, "a");
  EXPECT_EQ(booted.drives[0].is_read_only, true);
}

TEST_F(BeforeStart, TheRootDriveComesFirst) {
  const std::string root =
      fmt::format(R"({{"drive_id":"root","path_on_host":"{}","is_root_device":true}})", disk);
  EXPECT_EQ(put("/drives/a", drive("a")), 204);
  EXPECT_EQ(put("/drives/root", root), 204);
  EXPECT_EQ(put("/drives/root", root), 204);
  EXPECT_EQ(
      put("/drives/other",
          fmt::format(R"({{"drive_id":"other","path_on_host":"{}","is_root_device":true}})", disk)),
      400);
  start();
  ASSERT_EQ(booted.drives.size(), 2U);
  EXPECT_EQ(booted.drives[0].drive_id, "root");
}

TEST_F(BeforeStart, ADriveTellsWhatCountsWhereNothingWasGiven) {
  EXPECT_EQ(put("/drives/a", drive("a")), 204);
  EXPECT_NE(config().find(fmt::format(
                R"("drives":[{{"drive_id":"a","path_on_host":"{}","is_root_device":false,)"
                R"("partuuid":null,"is_read_only":false,"cache_type":"Unsafe","io_engine":"Sync",)"
                R"("rate_limiter":null,"socket":null}}])",
                disk)),
            std::string::npos)
      << config();
}

TEST_F(BeforeStart, ADiskThatIsNotThereIsRefused) {
  const std::string before = config();
  EXPECT_EQ(
      put("/drives/a", R"({"drive_id":"a","path_on_host":"/nowhere","is_root_device":false})"),
      400);
  EXPECT_EQ(put("/drives/a", R"({"drive_id":"a","is_root_device":false})"), 400);
  EXPECT_EQ(put("/drives/a", R"({"drive_id":"a","socket":"/nowhere","is_root_device":false})"),
            400);
  EXPECT_EQ(put("/drives/a",
                fmt::format(R"({{"drive_id":"a","socket":"{}","is_root_device":false}})", disk)),
            400);
  EXPECT_EQ(config(), before);
}

TEST_F(BeforeStart, ALimitOfNothingIsNone) {
  EXPECT_EQ(
      put("/drives/a", drive("a", R"(,"rate_limiter":{"ops":{"size":0,"refill_time":100},)"
                                  R"("bandwidth":{"size":5,"one_time_burst":0,"refill_time":7}})")),
      204);
  EXPECT_NE(config().find(R"("rate_limiter":{"bandwidth":{"size":5,"one_time_burst":null,)"
                          R"("refill_time":7},"ops":null})"),
            std::string::npos)
      << config();
  EXPECT_EQ(put("/entropy", R"({"rate_limiter":{}})"), 204);
  EXPECT_NE(config().find(R"("entropy":{"rate_limiter":null})"), std::string::npos) << config();
}

TEST_F(BeforeStart, AFileForPmemMayComeLater) {
  const std::string body = fmt::format(R"({{"id":"a","path_on_host":"{}"}})", dir / "late");
  EXPECT_EQ(put("/pmem/a", body), 204);
  EXPECT_EQ(put("/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)), 204);
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 400);
  dir.write("late", "x");
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 204);
}

TEST_F(BeforeStart, ACommandLineHasRoomForSoMuch) {
  const auto source = [this](std::size_t bytes) {
    return fmt::format(R"({{"kernel_image_path":"{}","boot_args":"{}"}})", kernel,
                       std::string(bytes, 'a'));
  };
  EXPECT_EQ(put("/boot-source", source(2047)), 204);
  EXPECT_EQ(put("/boot-source", source(2048)), 400);
}

TEST_F(BeforeStart, ASocketIsMadeWhereNothingIs) {
  const auto vsock = [this](std::string_view name) {
    return fmt::format(R"({{"guest_cid":3,"uds_path":"{}","vsock_id":"v"}})", dir / name);
  };
  EXPECT_EQ(put("/vsock", vsock("disk")), 400);
  EXPECT_EQ(put("/vsock", vsock("no/socket")), 400);
  EXPECT_EQ(put("/vsock", vsock("socket")), 204);
  EXPECT_EQ(put("/vsock", vsock("socket")), 204);
  EXPECT_NE(config().find(R"(,"vsock":{"guest_cid":3,"uds_path":")"), std::string::npos);
  EXPECT_EQ(config().find("vsock_id"), std::string::npos);
}

TEST_F(BeforeStart, TheMetadataServiceIsAtInterfacesThatThereAre) {
  EXPECT_EQ(put("/mmds/config", R"({"network_interfaces":["n"]})"), 400);
  EXPECT_EQ(put("/mmds/config", R"({"network_interfaces":[]})"), 400);
}

TEST_F(BeforeStart, MetadataMayComeAtAnyTime) {
  EXPECT_EQ(get("/mmds"), "{}");
  EXPECT_EQ(patch("/mmds", "{}"), 400);
  EXPECT_EQ(put("/mmds", R"({"a":{"b":1},"c":2})"), 204);
  start();
  EXPECT_EQ(patch("/mmds", R"({"a":null})"), 204);
  EXPECT_EQ(get("/mmds"), R"({"c":2})");
  EXPECT_EQ(put("/mmds", fmt::format(R"({{"a":"{}"}})", std::string(100, 'a'))), 413);
  EXPECT_EQ(get("/mmds"), R"({"c":2})");
}

TEST_F(BeforeStart, WhatOnlyAMachineThatRunsCanDoIsRefused) {
  EXPECT_EQ(put("/drives/a", drive("a")), 204);
  EXPECT_EQ(put("/balloon", R"({"amount_mib":8,"deflate_on_oom":true})"), 204);
  EXPECT_EQ(put("/hotplug/memory", R"({"total_size_mib":256})"), 204);
  EXPECT_EQ(put("/actions", R"({"action_type":"SendCtrlAltDel"})"), 400);
  EXPECT_EQ(put("/actions", R"({"action_type":"FlushMetrics"})"), 400);
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 400);
  EXPECT_EQ(patch("/vm", R"({"state":"Resumed"})"), 400);
  EXPECT_EQ(patch("/drives/a", fmt::format(R"({{"drive_id":"a","path_on_host":"{}"}})", disk)),
            400);
  EXPECT_EQ(patch("/balloon", R"({"amount_mib":9})"), 400);
  EXPECT_EQ(patch("/balloon/statistics", R"({"stats_polling_interval_s":1})"), 400);
  EXPECT_EQ(patch("/hotplug/memory", R"({"requested_size_mib":128})"), 400);
  for (const char* path : {"/balloon/statistics", "/balloon/hinting/status", "/hotplug/memory"}) {
    EXPECT_EQ(ask("GET", path).status, 400) << path;
  }
}

TEST_F(BeforeStart, AStartWithoutAKernelIsRefused) {
  const http::Response response = ask("PUT", "/actions", R"({"action_type":"InstanceStart"})");
  EXPECT_EQ(response.status, 400);
  EXPECT_NE(response.body.find("/boot-source"), std::string::npos) << response.body;
  EXPECT_EQ(made, 0);
}

TEST_F(BeforeStart, AFailedStartMayBeTriedAgain) {
  EXPECT_EQ(put("/drives/a", drive("a")), 204);
  EXPECT_EQ(put("/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)), 204);
  const std::string before = config();
  fail_boot = true;
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 400);
  fail_boot = false;
  fail_run = true;
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 400);
  EXPECT_NE(get("/").find("Not started"), std::string::npos);
  EXPECT_EQ(config(), before);
  EXPECT_EQ(put("/drives/b", drive("b")), 204);
  fail_run = false;
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 204);
  EXPECT_NE(get("/").find("Running"), std::string::npos);
  EXPECT_EQ(booted.drives.size(), 2U);
}

TEST_F(BeforeStart, OneDeviceTooManyIsRefusedAtTheStart) {
  for (int i = 0; i < 18; ++i) {
    EXPECT_EQ(put(fmt::format("/drives/d{}", i), drive(fmt::format("d{}", i))), 204);
  }
  EXPECT_EQ(put("/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)), 204);
  EXPECT_EQ(put("/actions", R"({"action_type":"InstanceStart"})"), 400);
  EXPECT_EQ(made, 0);
}

TEST_F(BeforeStart, WhereTheSerialPortLeadsIsHandedOn) {
  EXPECT_EQ(put("/serial", R"({"serial_out_path":"a\u0000b"})"), 400);
  EXPECT_EQ(
      put("/serial", R"({"serial_out_path":"/out","rate_limiter":{"size":10,"refill_time":20}})"),
      204);
  start();
  EXPECT_EQ(booted_serial.serial_out_path, "/out");
  EXPECT_EQ(booted_serial.rate_limiter->size, 10U);
}

TEST_F(BeforeStart, AConfigurationFileIsTakenAsIfItWerePut) {
  auto file =
      parse_config(fmt::format(R"({{"boot-source":{{"kernel_image_path":"{}"}},"drives":[{}],)"
                               R"("machine-config":{{"vcpu_count":2,"mem_size_mib":64}}}})",
                               kernel, drive("a")));
  ASSERT_TRUE(file) << file.error().text();
  ASSERT_TRUE(controller->load(std::move(*file)));
  EXPECT_NE(get("/machine-config").find(R"("mem_size_mib":64)"), std::string::npos);
  EXPECT_NE(config().find(R"("cache_type":"Unsafe")"), std::string::npos);
  ASSERT_TRUE(controller->start());
  EXPECT_EQ(booted.drives.size(), 1U);
  EXPECT_EQ(fake().let_go_times, 0);
  controller->go_on();
  controller->go_on();
  EXPECT_EQ(fake().let_go_times, 1);
}

}  // namespace
}  // namespace mote::api::firecracker::test

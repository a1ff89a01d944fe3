// What may be asked of a machine that was started.
#include "api_firecracker/api_fixture.h"
#include "virtio/block/device.h"

namespace mote::api::firecracker::test {
namespace {

class AfterStart : public ApiTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(put("/drives/a", drive("a")), 204);
    ASSERT_EQ(put("/pmem/p", fmt::format(R"({{"id":"p","path_on_host":"{}"}})", disk)), 204);
    ASSERT_EQ(put("/entropy", "{}"), 204);
    ASSERT_EQ(
        put("/balloon", R"({"amount_mib":8,"deflate_on_oom":true,"stats_polling_interval_s":1})"),
        204);
    ASSERT_EQ(put("/hotplug/memory", R"({"total_size_mib":256})"), 204);
    start();
  }
  std::string limiter(int size) {
    return fmt::format(R"("rate_limiter":{{"ops":{{"size":{},"refill_time":100}}}})", size);
  }
};

TEST_F(AfterStart, WhatIsForBeforeIsRefused) {
  const std::string before = config();
  for (const auto& [path, body] : std::vector<std::pair<std::string, std::string>>{
           {"/actions", R"({"action_type":"InstanceStart"})"},
           {"/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)},
           {"/machine-config", R"({"vcpu_count":1,"mem_size_mib":128})"},
           {"/cpu-config", "{}"},
           {"/drives/b", drive("b")},
           {"/network-interfaces/n", R"({"iface_id":"n","host_dev_name":"tap"})"},
           {"/pmem/q", fmt::format(R"({{"id":"q","path_on_host":"{}"}})", disk)},
           {"/vsock", fmt::format(R"({{"guest_cid":3,"uds_path":"{}"}})", dir / "socket")},
           {"/entropy", "{}"},
           {"/balloon", R"({"amount_mib":8,"deflate_on_oom":true})"},
           {"/hotplug/memory", R"({"total_size_mib":256})"},
           {"/serial", "{}"},
           {"/logger", "{}"},
           {"/console", R"({"ports":[{}]})"},
           {"/mmds/config", R"({"network_interfaces":["n"]})"}}) {
    const http::Response response = ask("PUT", path, body);
    EXPECT_EQ(response.status, 400) << path;
    EXPECT_NE(response.body.find("was not started"), std::string::npos) << response.body;
  }
  EXPECT_EQ(patch("/machine-config", R"({"mem_size_mib":128})"), 400);
  EXPECT_EQ(ask("DELETE", "/drives/a").status, 400);
  EXPECT_EQ(config(), before);
  EXPECT_EQ(made, 1);
}

TEST_F(AfterStart, PauseAndResumeMayComeTwice) {
  EXPECT_EQ(fake().runs, 1);
  EXPECT_EQ(patch("/vm", R"({"state":"Resumed"})"), 204);
  EXPECT_EQ(fake().runs, 1);
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  EXPECT_NE(get("/").find(R"("state":"Paused")"), std::string::npos);
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  EXPECT_EQ(fake().pauses, 1);
  EXPECT_EQ(patch("/vm", R"({"state":"Resumed"})"), 204);
  EXPECT_EQ(fake().runs, 2);
  EXPECT_NE(get("/").find(R"("state":"Running")"), std::string::npos);
}

TEST_F(AfterStart, TheKeyboardIsPressed) {
  EXPECT_EQ(put("/actions", R"({"action_type":"SendCtrlAltDel"})"), 204);
  EXPECT_EQ(fake().presses, 1);
}

TEST_F(AfterStart, ADiskIsReplaced) {
  EXPECT_EQ(patch("/drives/a", fmt::format(R"({{"drive_id":"a","path_on_host":"{}",{}}})",
                                           other_disk, limiter(5))),
            204);
  EXPECT_EQ(fake().find<virtio::Block>("a")->save().sectors, 16U);
  EXPECT_NE(config().find(other_disk), std::string::npos);
  EXPECT_NE(config().find(R"("ops":{"size":5)"), std::string::npos);
}

TEST_F(AfterStart, AnUpdateOfADriveThatFailsChangesNothing) {
  const std::string before = config();
  EXPECT_EQ(
      patch("/drives/a", fmt::format(R"({{"drive_id":"a","path_on_host":"/no",{}}})", limiter(5))),
      400);
  EXPECT_EQ(patch("/drives/a", R"({"drive_id":"a"})"), 400);
  EXPECT_EQ(patch("/drives/b", R"({"drive_id":"b","rate_limiter":{}})"), 400);
  EXPECT_EQ(patch("/drives/a", R"({"drive_id":"a","is_root_device":true})"), 400);
  EXPECT_EQ(config(), before);
  EXPECT_FALSE(fake().find<virtio::Block>("a")->save().rate_limiter->ops);
}

TEST_F(AfterStart, ALimitIsMergedIntoWhatThereWas) {
  EXPECT_EQ(patch("/pmem/p", fmt::format(R"({{"id":"p",{}}})", limiter(5))), 204);
  EXPECT_EQ(
      patch("/pmem/p", R"({"id":"p","rate_limiter":{"bandwidth":{"size":7,"refill_time":1}}})"),
      204);
  EXPECT_NE(config().find(R"("bandwidth":{"size":7,"one_time_burst":null,"refill_time":1},)"
                          R"("ops":{"size":5)"),
            std::string::npos)
      << config();
  EXPECT_EQ(patch("/pmem/p", fmt::format(R"({{"id":"p",{}}})", limiter(0))), 204);
  EXPECT_EQ(config().find(R"("ops":{"size":5)"), std::string::npos);
  EXPECT_EQ(patch("/pmem/p", R"({"id":"p"})"), 204);
  EXPECT_EQ(patch("/pmem/q", R"({"id":"q"})"), 400);
  EXPECT_EQ(patch("/network-interfaces/n", R"({"iface_id":"n"})"), 400);
}

TEST_F(AfterStart, TheBalloonTellsWhatItIs) {
  EXPECT_EQ(get("/balloon"),
            R"({"amount_mib":8,"deflate_on_oom":true,"stats_polling_interval_s":1,)"
            R"("free_page_hinting":false,"free_page_reporting":false})");
  EXPECT_EQ(get("/balloon/statistics"),
            R"({"target_pages":2048,"actual_pages":0,"target_mib":8,"actual_mib":0})");
  EXPECT_EQ(patch("/balloon/statistics", R"({"stats_polling_interval_s":3})"), 204);
  EXPECT_NE(get("/balloon").find(R"("stats_polling_interval_s":3)"), std::string::npos);
  EXPECT_EQ(patch("/balloon/statistics", R"({"stats_polling_interval_s":0})"), 400);
}

TEST_F(AfterStart, WhatNeedsADriverIsRefusedWithoutOne) {
  EXPECT_EQ(patch("/balloon", R"({"amount_mib":9})"), 400);
  EXPECT_EQ(patch("/balloon/hinting/start", ""), 400);
  EXPECT_EQ(patch("/balloon/hinting/stop", ""), 400);
  EXPECT_EQ(patch("/hotplug/memory", R"({"requested_size_mib":128})"), 400);
  EXPECT_EQ(get("/hotplug/memory"),
            R"({"total_size_mib":256,"block_size_mib":2,"slot_size_mib":128,)"
            R"("plugged_size_mib":0,"requested_size_mib":0})");
}

}  // namespace
}  // namespace mote::api::firecracker::test

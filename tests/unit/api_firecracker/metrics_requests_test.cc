// PUT /metrics, FlushMetrics, and what is counted of requests.
#include <gmock/gmock.h>

#include "api/firecracker/request_counts.h"
#include "api_firecracker/api_fixture.h"

namespace mote::api::firecracker::test {
namespace {

using testing::HasSubstr;

class MetricsRequests : public ApiTest {
 protected:
  int flush() { return put("/actions", R"({"action_type":"FlushMetrics"})"); }
  int put_metrics(std::string_view name) {
    return put("/metrics", fmt::format(R"({{"metrics_path":"{}"}})", dir / std::string(name)));
  }
  long lines() { return std::ranges::count(dir.read("m"), '\n'); }
};

TEST_F(MetricsRequests, AFileGetsALineAtTheStartAndWithEachFlush) {
  EXPECT_EQ(flush(), 400);
  EXPECT_EQ(put_metrics("none/m"), 400);
  EXPECT_EQ(put_metrics("m"), 204);
  EXPECT_EQ(put_metrics("m"), 400);
  EXPECT_EQ(flush(), 400);
  EXPECT_EQ(lines(), 0);
  start();
  EXPECT_EQ(lines(), 1);
  EXPECT_EQ(flush(), 204);
  EXPECT_EQ(flush(), 204);
  EXPECT_EQ(lines(), 3);
  EXPECT_THAT(dir.read("m"), HasSubstr(R"("exit_io_in":7,)"));
  EXPECT_EQ(put_metrics("n"), 400);
  controller->metrics().stop();
  EXPECT_EQ(lines(), 4);
}

TEST_F(MetricsRequests, WithoutAFileThereIsNothingToFlush) {
  start();
  EXPECT_EQ(flush(), 204);
}

TEST_F(MetricsRequests, AllCountersAreThereToRead) {
  EXPECT_THAT(get("/vm/metrics"), HasSubstr(R"("exit_io_in":0,)"));
  start();
  for (int i = 0; i < 2; ++i) EXPECT_THAT(get("/vm/metrics"), HasSubstr(R"("exit_io_in":7,)"));
  EXPECT_EQ(ask("PUT", "/vm/metrics", "{}").status, 400);
}

TEST_F(MetricsRequests, PauseAndResumeAreTimed) {
  start();
  RequestLatencies& latencies = controller->metrics().counts.latencies_us;
  latencies.vmm_pause_vm = UINT64_MAX;
  latencies.vmm_resume_vm = UINT64_MAX;
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  EXPECT_LT(latencies.vmm_pause_vm, UINT64_MAX);
  EXPECT_EQ(latencies.vmm_resume_vm, UINT64_MAX);
  EXPECT_EQ(patch("/vm", R"({"state":"Resumed"})"), 204);
  EXPECT_LT(latencies.vmm_resume_vm, UINT64_MAX);
}

TEST(RequestCounts, AreByMethodAndPath) {
  ProcessMetrics counts;
  const auto count = [&counts](const char* method, const char* target, int status,
                               bool deprecated = false) {
    count_request({.method = method, .target = target, .body = {}},
                  {.status = status, .deprecated = deprecated}, counts);
  };
  count("GET", "/", 200);
  count("GET", "/version", 200);
  count("GET", "/nothing", 400);
  count("GET", "/vm/metrics", 200);
  count("PUT", "/drives/d", 204);
  count("PUT", "/drives/", 400);
  count("PUT", "/drivesx", 400);
  count("PUT", "/mmds/config", 204, true);
  count("PUT", "/mmds", 204);
  count("PATCH", "/hotplug/memory", 400);
  count("PATCH", "/vm", 204);
  count("DELETE", "/drives/d", 400);
  EXPECT_EQ(counts.get_api_requests.instance_info_count, 1U);
  EXPECT_EQ(counts.get_api_requests.vmm_version_count, 1U);
  EXPECT_EQ(counts.put_api_requests.drive_count, 2U);
  EXPECT_EQ(counts.put_api_requests.drive_fails, 1U);
  EXPECT_EQ(counts.put_api_requests.mmds_count, 2U);
  EXPECT_EQ(counts.put_api_requests.mmds_fails, 0U);
  EXPECT_EQ(counts.patch_api_requests.hotplug_memory_count, 1U);
  EXPECT_EQ(counts.patch_api_requests.hotplug_memory_fails, 1U);
  EXPECT_EQ(counts.patch_api_requests.drive_count, 0U);
  EXPECT_EQ(counts.deprecated_api.deprecated_http_api_calls, 1U);
}

}  // namespace
}  // namespace mote::api::firecracker::test

// Forks through the API, with the fixture's machines: what PUT /fork answers and leaves, and what a
// load from descriptors takes.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>

#include "api_fixture.h"

namespace mote::api::firecracker::test {
namespace {

using testing::HasSubstr;

class Forks : public ApiTest {
 protected:
  void start_forkable() {
    ASSERT_EQ(put("/machine-config", R"({"vcpu_count":1,"mem_size_mib":2,"forkable":true})"), 204);
    start();
  }
  std::vector<UniqueFd> fork() {
    http::Response answer = ask("PUT", "/fork");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return std::move(answer.descriptors);
  }
  http::Response load(std::vector<UniqueFd> descriptors, const std::string& more = {}) {
    http::Request request{
        .method = "PUT",
        .target = "/snapshot/load",
        .body = fmt::format(R"({{"mem_backend":{{"backend_type":"Descriptors"}}{}}})", more)};
    request.descriptors = std::move(descriptors);
    return ask(std::move(request));
  }
};

TEST_F(Forks, AnswerWithDescriptorsAndTheMachineGoesOn) {
  EXPECT_EQ(put("/fork", ""), 400) << "nothing was started";
  start_forkable();
  const http::Response answer = ask("PUT", "/fork");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr(R"("descriptors_sent":2)"));
  EXPECT_THAT(answer.body, HasSubstr(R"("copied_bytes":0)"));
  ASSERT_EQ(answer.descriptors.size(), 2U);
  struct stat facts{};
  ASSERT_EQ(::fstat(answer.descriptors[1].get(), &facts), 0);
  EXPECT_EQ(facts.st_size, 2 << 20);
  EXPECT_EQ(fake().preparations, 1);
  EXPECT_EQ(fake().pauses, 1);
  EXPECT_EQ(fake().runs, 2);
  EXPECT_THAT(get("/"), HasSubstr("Running"));
  EXPECT_EQ(put("/fork", "{}"), 200);
  EXPECT_EQ(put("/fork", R"({"count":2})"), 400);
}

TEST_F(Forks, OfAPausedMachineLeaveItPaused) {
  start_forkable();
  EXPECT_EQ(patch("/vm", R"({"state":"Paused"})"), 204);
  EXPECT_EQ(fork().size(), 2U);
  EXPECT_EQ(fake().runs, 1);
  EXPECT_THAT(get("/"), HasSubstr("Paused"));
}

TEST_F(Forks, ThatFailLeaveTheMachineRunning) {
  start();
  EXPECT_EQ(put("/fork", ""), 400);
  EXPECT_EQ(fake().runs, 2);
  EXPECT_THAT(get("/"), HasSubstr("Running"));
}

TEST_F(Forks, AreLoadedByDescriptorsAlone) {
  start_forkable();
  auto descriptors = fork();
  make_controller();
  const auto copies = [&] {
    std::vector<UniqueFd> made;
    for (const UniqueFd& one : descriptors) made.push_back(std::move(*one.duplicate()));
    return made;
  };
  EXPECT_EQ(load({}).status, 400);
  EXPECT_EQ(load(copies(), R"(,"snapshot_path":"/s")").status, 400);
  EXPECT_EQ(load(copies(), R"(,"mem_file_path":"/m")").status, 400);
  EXPECT_EQ(load(copies(), R"(,"prefetch":true)").status, 400);
  EXPECT_EQ(put("/snapshot/load", R"({"mem_backend":{"backend_type":"File"}})"), 400);
  EXPECT_EQ(
      put("/snapshot/load", R"({"snapshot_path":"/s","mem_backend":{"backend_type":"File"}})"),
      400);
  EXPECT_EQ(restored, 0);
  const auto taken = load(copies(), R"(,"resume_vm":true)");
  EXPECT_EQ(taken.status, 204) << taken.body;
  EXPECT_EQ(restored, 1);
  EXPECT_TRUE(booted.machine.forkable);
  EXPECT_THAT(get("/"), HasSubstr("Running"));
}

TEST_F(Forks, ShareNoFileThatIsWritten) {
  ASSERT_EQ(put("/drives/d", drive("d")), 204);
  ASSERT_EQ(put("/drives/r", drive("r", R"(,"is_read_only":true)")), 204);
  start_forkable();
  auto descriptors = fork();
  make_controller();
  const std::string link = disk + ".link";
  std::filesystem::create_hard_link(disk, link);
  const auto named = [](const std::string& path) {
    return fmt::format(R"(,"drive_overrides":[{{"drive_id":"d","path_on_host":"{}"}}])", path);
  };
  // By its own name, and by others.
  for (const std::string& more : {std::string(), named(link), named("/proc/self/root" + disk)}) {
    std::vector<UniqueFd> copies;
    for (const UniqueFd& one : descriptors) copies.push_back(std::move(*one.duplicate()));
    const auto refused = load(std::move(copies), more);
    EXPECT_EQ(refused.status, 400) << more;
    EXPECT_THAT(refused.body, HasSubstr("drive_overrides"));
    EXPECT_THAT(refused.body, HasSubstr(R"(\"d\")"));
  }
  const auto taken = load(std::move(descriptors), named(other_disk));
  EXPECT_EQ(taken.status, 204) << taken.body;
}

TEST_F(Forks, NeedWhatCanBeShared) {
  EXPECT_EQ(put("/machine-config",
                R"({"vcpu_count":1,"mem_size_mib":2,"forkable":true,"huge_pages":"2M"})"),
            400);
  EXPECT_EQ(patch("/machine-config", R"({"forkable":true})"), 204);
  EXPECT_THAT(get("/machine-config"), HasSubstr(R"("forkable":true)"));
  EXPECT_EQ(
      put("/hotplug/memory", R"({"total_size_mib":128,"block_size_mib":2,"slot_size_mib":128})"),
      204);
  ASSERT_EQ(put("/boot-source", fmt::format(R"({{"kernel_image_path":"{}"}})", kernel)), 204);
  const auto refused = ask("PUT", "/actions", R"({"action_type":"InstanceStart"})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("forkable"));
}

}  // namespace
}  // namespace mote::api::firecracker::test

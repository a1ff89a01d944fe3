#include "api/firecracker/metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "api_metrics/support.h"
#include "base/json_describe.h"
#include "temp_dir.h"

namespace mote::api::firecracker {
namespace {

using test::add_device;
using test::at;
using test::number;
using test::parsed;
using testing::HasSubstr;

class MetricsTest : public testing::Test {
 protected:
  MetricsTest() { add_device<virtio::Block>(machine_, "d"); }

  Metrics::CountMachine counter() {
    return [this](machine::MachineCounts& into) { into = machine_; };
  }
  virtio::BlockMetrics& drive() { return test::metrics_of<virtio::Block>(machine_.slots[0]); }
  MetricsConfig to(const std::string& name) { return {.metrics_path = dir_ / name}; }
  std::vector<json::Value> written(const std::string& name) {
    std::vector<json::Value> values;
    for (const std::string& line : test::lines(dir_.read(name))) values.push_back(parsed(line));
    return values;
  }

  test::TempDir dir_;
  std::unique_ptr<EventLoop> loop_ = *EventLoop::create();
  machine::MachineCounts machine_;
  Metrics metrics_{"my-vm"};
};

TEST_F(MetricsTest, WritesALineAtTheStartWhenAskedAndAtTheEnd) {
  ASSERT_TRUE(metrics_.open(to("m")));
  struct stat about{};
  ASSERT_EQ(::stat((dir_ / "m").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0644U);
  EXPECT_EQ(about.st_size, 0);
  ASSERT_TRUE(metrics_.start(*loop_, counter()));
  drive().read_count = 3;
  metrics_.flush();
  drive().read_count = 5;
  metrics_.stop();
  metrics_.stop();
  const auto lines = written("m");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(number(lines[0], "block_d.read_count"), 0U);
  EXPECT_EQ(number(lines[1], "block_d.read_count"), 3U);
  EXPECT_EQ(number(lines[2], "block.read_count"), 2U);
}

TEST_F(MetricsTest, WritesALineEachPeriod) {
  ASSERT_TRUE(metrics_.open(to("m")));
  ASSERT_TRUE(metrics_.start(*loop_, counter(), std::chrono::milliseconds(2)));
  while (written("m").size() < 4) ASSERT_TRUE(loop_->run_once(1000));
  metrics_.stop();
  const std::size_t count = written("m").size();
  EXPECT_FALSE(*loop_->run_once(10));
  EXPECT_EQ(written("m").size(), count);
}

TEST_F(MetricsTest, DoesNothingWithoutAFile) {
  EXPECT_FALSE(metrics_.is_open());
  metrics_.flush();
  ASSERT_TRUE(metrics_.start(*loop_, counter(), std::chrono::milliseconds(1)));
  EXPECT_FALSE(*loop_->run_once(10));
  metrics_.flush_at_fault();
  metrics_.stop();
}

TEST_F(MetricsTest, KeepsWhatItsFileHolds) {
  dir_.write("m", "before\n");
  ASSERT_TRUE(metrics_.open(to("m")));
  metrics_.flush();
  EXPECT_THAT(dir_.read("m"), testing::MatchesRegex("before\n\\{[^\n]*\\}\n"));
}

TEST_F(MetricsTest, HasOneFileForItsLife) {
  ASSERT_TRUE(metrics_.open(to("m")));
  const auto again = metrics_.open(to("n"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kState);
}

TEST_F(MetricsTest, RefusesWhatCannotBeOpened) {
  for (const std::string& path :
       {dir_ / "none/m", dir_.path(), std::string(), std::string("a\0b", 3)}) {
    const auto opened = metrics_.open({.metrics_path = path});
    ASSERT_FALSE(opened) << path;
    EXPECT_THAT(opened.error().text(), HasSubstr("metrics_path"));
  }
  EXPECT_TRUE(metrics_.open(to("m")));
}

TEST_F(MetricsTest, TellsIdAndPropertiesWhereAsked) {
  MetricsConfig config = *json::read<MetricsConfig>(
      R"({"metrics_path":"x","emit_id":true,"properties":{"k":"v","\"":"\n"}})");
  config.metrics_path = dir_ / "m";
  ASSERT_TRUE(metrics_.open(config));
  metrics_.flush();
  const auto lines = written("m");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(*at(lines[0], "id").as<std::string>(), "my-vm");
  EXPECT_EQ(*at(lines[0], "properties.k").as<std::string>(), "v");
  EXPECT_EQ(*at(lines[0], "properties.\"").as<std::string>(), "\n");
}

TEST(MetricsConfig, ChecksItsProperties) {
  const auto error_of = [](const std::string& properties) {
    const auto config =
        json::read<MetricsConfig>(R"({"metrics_path":"m","properties":)" + properties + "}");
    const Result<void> checked = config ? check(*config) : Result<void>();
    return checked ? std::string("no error") : checked.error().text();
  };
  for (const char* properties : {"null", "{}", R"({"a":"b","":""})"}) {
    EXPECT_EQ(error_of(properties), "no error") << properties;
  }
  for (const char* properties :
       {"[]", "1", R"("x")", R"({"a":1})", R"({"a":null})", R"({"a":{"b":"c"}})", "true"}) {
    EXPECT_THAT(error_of(properties), HasSubstr("properties")) << properties;
  }
}

TEST_F(MetricsTest, LosesLinesRatherThanWaitForAReaderAndNoNumberOfThem) {
  const std::string path = dir_ / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ASSERT_TRUE(metrics_.open(to("fifo")));
  for (int i = 0; i < 50; ++i) {
    ++drive().read_count;
    ++metrics_.counts.put_api_requests.actions_count;
    metrics_.flush();
  }
  ASSERT_TRUE(metrics_.start(*loop_, counter()));
  // The reader comes late, and reads whole lines alone.
  const UniqueFd reader = *open_file(path, O_RDONLY | O_NONBLOCK);
  const auto read_lines = [&] {
    std::string text(std::size_t{1} << 20, '\0');
    std::size_t size = 0;
    while (const auto count =
               *read_some(reader.get(), std::as_writable_bytes(std::span(text)).subspan(size))) {
      size += *count;
    }
    std::vector<json::Value> values;
    for (const std::string& line : test::lines(text.substr(0, size)))
      values.push_back(parsed(line));
    return values;
  };
  const auto first = read_lines();
  ASSERT_GT(first.size(), 2U);
  ASSERT_LT(first.size(), 50U);
  metrics_.flush();
  const auto second = read_lines();
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(number(second[0], "logger.missed_metrics_count"), 51 - first.size());
  EXPECT_EQ(number(second[0], "put_api_requests.actions_count"), 50 - first.size());
  EXPECT_EQ(number(second[0], "block_d.read_count"), 50U);
}

TEST_F(MetricsTest, TakesIdsOfAnyLength) {
  const std::string id(100000, '\x01');
  add_device<virtio::Net>(machine_, id);
  ASSERT_TRUE(metrics_.open(to("m")));
  ASSERT_TRUE(metrics_.start(*loop_, counter()));
  const auto lines = written("m");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(test::keys(lines[0]), testing::Contains("net_" + id));
  EXPECT_EQ(number(parsed(metrics_.report()), "logger.metrics_fails"), 0U);
}

TEST_F(MetricsTest, CountsLinesThatAFileDoesNotTake) {
  ASSERT_TRUE(metrics_.open({.metrics_path = "/dev/full"}));
  metrics_.flush();
  metrics_.flush();
  EXPECT_EQ(number(parsed(metrics_.report()), "logger.missed_metrics_count"), 2U);
}

TEST_F(MetricsTest, AtAFaultWritesTheLastLine) {
  ASSERT_TRUE(metrics_.open(to("m")));
  ASSERT_TRUE(metrics_.start(*loop_, counter()));
  drive().write_count = 2;
  metrics_.counts.signals.sigbus = 1;
  metrics_.flush_at_fault();
  const auto lines = written("m");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(number(lines[1], "block_d.write_count"), 2U);
  EXPECT_EQ(number(lines[1], "signals.sigbus"), 1U);
}

TEST_F(MetricsTest, ReportsAllThatWasCountedAndDisturbsNoLine) {
  ASSERT_TRUE(metrics_.open(to("m")));
  ASSERT_TRUE(metrics_.start(*loop_, counter()));
  drive().read_count = 3;
  drive().discard_count = 4;
  machine_.slots[0].transport.resets += 1;
  machine_.missed_accesses = 6;
  add_device<virtio::Console>(machine_, "", {.tx_bytes_count = 8});
  metrics_.flush();
  for (int i = 0; i < 2; ++i) {
    const json::Value report = parsed(metrics_.report());
    EXPECT_EQ(*at(report, "id").as<std::string>(), "my-vm");
    EXPECT_EQ(number(report, "block_d.read_count"), 3U);
    EXPECT_EQ(number(report, "block.read_count"), 3U);
    EXPECT_EQ(number(report, "block_d.discard_count"), 4U);
    EXPECT_EQ(number(report, "block_d.resets"), 1U);
    EXPECT_EQ(number(report, "bus.missed_count"), 6U);
    EXPECT_EQ(number(report, "console.tx_bytes_count"), 8U);
  }
  drive().read_count = 5;
  metrics_.report();
  metrics_.flush();
  EXPECT_EQ(number(written("m").back(), "block_d.read_count"), 2U);
}

}  // namespace
}  // namespace mote::api::firecracker

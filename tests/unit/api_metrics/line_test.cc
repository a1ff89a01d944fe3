#include "api/firecracker/metrics/line.h"

#include <gtest/gtest.h>

#include "api_metrics/support.h"

namespace mote::api::firecracker {
namespace {

using test::add_device;
using test::metrics_of;
using test::number;
using virtio::Block;
using virtio::Net;

virtio::BlockMetrics reads(std::uint64_t count) {
  virtio::BlockMetrics metrics;
  metrics.read_count = count;
  return metrics;
}
virtio::NetMetrics runs(std::uint64_t count) {
  virtio::NetMetrics metrics;
  metrics.rx_count = count;
  return metrics;
}

class MetricsLine : public testing::Test {
 protected:
  json::Value next(bool written = true, bool fatal = false) {
    make_line({.process = process_, .output = output_, .machine = machine_}, 0, {}, baselines_,
              fatal, buffer_);
    if (written) baselines_.keep();
    return test::parsed(buffer_.text());
  }

  ProcessMetrics process_;
  OutputMetrics output_;
  machine::MachineCounts machine_;
  Baselines baselines_;
  LineBuffer buffer_{std::size_t{1} << 17};
};

TEST_F(MetricsLine, TellsWhatCameSinceTheLineBefore) {
  process_.put_api_requests.drive_count += 3;
  EXPECT_EQ(number(next(), "put_api_requests.drive_count"), 3U);
  EXPECT_EQ(number(next(), "put_api_requests.drive_count"), 0U);
  ++process_.put_api_requests.drive_count;
  EXPECT_EQ(number(next(), "put_api_requests.drive_count"), 1U);
}

TEST_F(MetricsLine, TellsAgainWhatWasNotWritten) {
  machine_.vcpu.exit_io_in += 5;
  EXPECT_EQ(number(next(/*written=*/false), "vcpu.exit_io_in"), 5U);
  machine_.vcpu.exit_io_in += 2;
  EXPECT_EQ(number(next(), "vcpu.exit_io_in"), 7U);
  EXPECT_EQ(number(next(), "vcpu.exit_io_in"), 0U);
}

TEST_F(MetricsLine, TellsGaugesAsTheyAre) {
  process_.latencies_us.pause_vm = 70;
  machine_.vcpu.exit_io_out_agg.add(4);
  machine_.vcpu.exit_io_out_agg.add(6);
  for (const std::uint64_t sum : {10, 0}) {
    const json::Value line = next();
    EXPECT_EQ(number(line, "latencies_us.pause_vm"), 70U);
    EXPECT_EQ(number(line, "vcpu.exit_io_out_agg.min_us"), 4U);
    EXPECT_EQ(number(line, "vcpu.exit_io_out_agg.max_us"), 6U);
    EXPECT_EQ(number(line, "vcpu.exit_io_out_agg.sum_us"), sum);
  }
}

TEST_F(MetricsLine, SumsDevicesOfAKind) {
  virtio::BlockMetrics one = reads(2);
  one.read_agg.add(10);
  virtio::BlockMetrics two = reads(3);
  two.read_agg.add(30);
  add_device<Block>(machine_, "a", one).transport.rings_broken += 1;
  add_device<Block>(machine_, "b", two);
  const json::Value line = next();
  EXPECT_EQ(number(line, "block_a.read_count"), 2U);
  EXPECT_EQ(number(line, "block_b.read_count"), 3U);
  EXPECT_EQ(number(line, "block.read_count"), 5U);
  EXPECT_EQ(number(line, "block_a.event_fails"), 1U);
  EXPECT_EQ(number(line, "block.event_fails"), 1U);
  EXPECT_EQ(number(line, "block.read_agg.min_us"), 10U);
  EXPECT_EQ(number(line, "block.read_agg.max_us"), 30U);
  EXPECT_EQ(number(line, "block.read_agg.sum_us"), 40U);
  metrics_of<Block>(machine_.slots[1]).read_count += 4;
  const json::Value after = next();
  EXPECT_EQ(number(after, "block_a.read_count"), 0U);
  EXPECT_EQ(number(after, "block.read_count"), 4U);
  EXPECT_EQ(number(after, "block.read_agg.sum_us"), 0U);
}

TEST_F(MetricsLine, CountsInterruptsOfAllDevices) {
  add_device<Block>(machine_, "a").transport.interrupts += 2;
  add_device<Net>(machine_, "b").transport.interrupts += 3;
  const json::Value line = next();
  EXPECT_EQ(number(line, "interrupts.triggers"), 5U);
  EXPECT_EQ(number(line, "interrupts.config_updates"), 0U);
}

TEST_F(MetricsLine, BeginsAnewWithADeviceInTheNextOnesPlace) {
  add_device<Block>(machine_, "a", reads(100));
  EXPECT_EQ(number(next(), "block_a.read_count"), 100U);
  // Another drive where that one was.
  machine_.used = 0;
  add_device<Block>(machine_, "b", reads(7));
  EXPECT_EQ(number(next(), "block_b.read_count"), 7U);
  // A device of another kind there, and one after nothing was.
  machine_.used = 0;
  add_device<Net>(machine_, "n", runs(9));
  EXPECT_EQ(number(next(), "net_n.rx_count"), 9U);
  machine_.used = 0;
  next();
  add_device<Net>(machine_, "n", runs(20));
  EXPECT_EQ(number(next(), "net_n.rx_count"), 20U);
}

TEST_F(MetricsLine, AtAFaultTellsAllOfWhatIsNew) {
  add_device<Block>(machine_, "a", reads(5));
  next();
  metrics_of<Block>(machine_.slots[0]).read_count += 1;
  add_device<Block>(machine_, "b", reads(8));
  process_.signals.sigsegv = 1;
  const json::Value line = next(/*written=*/false, /*fatal=*/true);
  EXPECT_EQ(number(line, "block_a.read_count"), 1U);
  EXPECT_EQ(number(line, "block_b.read_count"), 8U);
  EXPECT_EQ(number(line, "signals.sigsegv"), 1U);
}

}  // namespace
}  // namespace mote::api::firecracker

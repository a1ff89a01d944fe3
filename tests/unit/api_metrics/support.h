// What the tests of metrics share: lines read as JSON, and machines that are numbers alone.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "machine/metrics.h"

namespace mote::test {

// A JSON text, which must be one.
json::Value parsed(std::string_view text);
// The value at `path`, whose names are separated by dots: "block_d.read_agg.sum_us". It must be
// there.
const json::Value& at(const json::Value& value, std::string_view path);
// A number at `path`.
std::uint64_t number(const json::Value& value, std::string_view path);
// The names of an object's members.
std::vector<std::string> keys(const json::Value& value);
// The lines of a text, without their ends.
std::vector<std::string> lines(std::string_view text);

// Adds a device of kind D, which counted `metrics`, to `counts`.
template <typename D>
machine::DeviceCounts& add_device(machine::MachineCounts& counts, std::string_view id,
                                  machine::detail::MetricsOf<D> metrics = {}) {
  static const std::array<char, machine::kMaxDevices> kDevices{};
  machine::DeviceCounts& slot = counts.slots[counts.used];
  slot = {.device = &kDevices[counts.used],
          .id = id,
          .transport = {},
          .metrics = machine::DeviceMetrics(std::in_place_index<virtio::kKindIndex<D>>,
                                            std::move(metrics))};
  ++counts.used;
  return slot;
}
// The metrics of such a device.
template <typename D>
machine::detail::MetricsOf<D>& metrics_of(machine::DeviceCounts& counts) {
  return std::get<virtio::kKindIndex<D>>(counts.metrics);
}

}  // namespace mote::test

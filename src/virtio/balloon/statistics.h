// What the guest says of its memory (VIRTIO 1.2, 5.5.6.3), under Firecracker's names.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>

#include "base/json_rules.h"

namespace mote::virtio {

// Each is absent until the guest has told it. Bytes, or events since the guest's start. The last
// six are told by Linux from 6.12 on.
struct GuestMemoryStatistics {
  std::optional<std::uint64_t> swap_in{};
  std::optional<std::uint64_t> swap_out{};
  std::optional<std::uint64_t> major_faults{};
  std::optional<std::uint64_t> minor_faults{};
  std::optional<std::uint64_t> free_memory{};
  std::optional<std::uint64_t> total_memory{};
  std::optional<std::uint64_t> available_memory{};
  std::optional<std::uint64_t> disk_caches{};
  std::optional<std::uint64_t> hugetlb_allocations{};
  std::optional<std::uint64_t> hugetlb_failures{};
  std::optional<std::uint64_t> oom_kill{};
  std::optional<std::uint64_t> alloc_stall{};
  std::optional<std::uint64_t> async_scan{};
  std::optional<std::uint64_t> direct_scan{};
  std::optional<std::uint64_t> async_reclaim{};
  std::optional<std::uint64_t> direct_reclaim{};

  // Takes the statistic `tag` (VIRTIO_BALLOON_S_*); unknown ones are left.
  void set(std::uint16_t tag, std::uint64_t value);
};
BOOST_DESCRIBE_STRUCT(GuestMemoryStatistics, (),
                      (swap_in, swap_out, major_faults, minor_faults, free_memory, total_memory,
                       available_memory, disk_caches, hugetlb_allocations, hugetlb_failures,
                       oom_kill, alloc_stall, async_scan, direct_scan, async_reclaim,
                       direct_reclaim))

constexpr auto json_rules(const GuestMemoryStatistics*) {
  return std::array{json::sparse("swap_in"),
                    json::sparse("swap_out"),
                    json::sparse("major_faults"),
                    json::sparse("minor_faults"),
                    json::sparse("free_memory"),
                    json::sparse("total_memory"),
                    json::sparse("available_memory"),
                    json::sparse("disk_caches"),
                    json::sparse("hugetlb_allocations"),
                    json::sparse("hugetlb_failures"),
                    json::sparse("oom_kill"),
                    json::sparse("alloc_stall"),
                    json::sparse("async_scan"),
                    json::sparse("direct_scan"),
                    json::sparse("async_reclaim"),
                    json::sparse("direct_reclaim")};
}

// With how far the balloon is: pages of 4 KiB, and MiB rounded down.
struct BalloonStatistics : GuestMemoryStatistics {
  std::uint32_t target_pages = 0;
  std::uint32_t actual_pages = 0;
  std::uint32_t target_mib = 0;
  std::uint32_t actual_mib = 0;
};
BOOST_DESCRIBE_STRUCT(BalloonStatistics, (GuestMemoryStatistics),
                      (target_pages, actual_pages, target_mib, actual_mib))

}  // namespace mote::virtio

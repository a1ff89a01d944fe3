#include "virtio/balloon/statistics.h"

#include <array>

namespace mote::virtio {

void GuestMemoryStatistics::set(std::uint16_t tag, std::uint64_t value) {
  using Member = std::optional<std::uint64_t> GuestMemoryStatistics::*;
  // By VIRTIO_BALLOON_S_*, whose last six are younger than this host's headers.
  static constexpr std::array<Member, 16> kMembers{
      &GuestMemoryStatistics::swap_in,
      &GuestMemoryStatistics::swap_out,
      &GuestMemoryStatistics::major_faults,
      &GuestMemoryStatistics::minor_faults,
      &GuestMemoryStatistics::free_memory,
      &GuestMemoryStatistics::total_memory,
      &GuestMemoryStatistics::available_memory,
      &GuestMemoryStatistics::disk_caches,
      &GuestMemoryStatistics::hugetlb_allocations,
      &GuestMemoryStatistics::hugetlb_failures,
      &GuestMemoryStatistics::oom_kill,
      &GuestMemoryStatistics::alloc_stall,
      &GuestMemoryStatistics::async_scan,
      &GuestMemoryStatistics::direct_scan,
      &GuestMemoryStatistics::async_reclaim,
      &GuestMemoryStatistics::direct_reclaim,
  };
  if (tag < kMembers.size()) this->*kMembers[tag] = value;
}

}  // namespace mote::virtio

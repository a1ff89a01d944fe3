// What a balloon counts. Names that Firecracker has mean what they mean there.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace mote::virtio {

struct BalloonMetrics {
  std::uint64_t inflate_count = 0;           // kicks of the queue
  std::uint64_t deflate_count = 0;           // kicks of the queue
  std::uint64_t stats_updates_count = 0;     // statistics that came
  std::uint64_t stats_update_fails = 0;      // polls without an answer, and answers without sense
  std::uint64_t event_fails = 0;             // requests that break the protocol
  std::uint64_t free_page_report_count = 0;  // ranges
  std::uint64_t free_page_report_freed = 0;  // bytes
  std::uint64_t free_page_report_fails = 0;  // ranges that the host would not take back
  std::uint64_t free_page_hint_count = 0;    // ranges
  std::uint64_t free_page_hint_freed = 0;    // bytes
  std::uint64_t free_page_hint_fails = 0;    // ranges that came at the wrong time, or as above
  std::uint64_t inflate_bad_pages = 0;       // pages that are no memory of the guest
  std::uint64_t inflate_freed = 0;           // bytes
  std::uint64_t inflate_fails = 0;           // runs of pages that the host would not take back
};
BOOST_DESCRIBE_STRUCT(BalloonMetrics, (),
                      (inflate_count, deflate_count, stats_updates_count, stats_update_fails,
                       event_fails, free_page_report_count, free_page_report_freed,
                       free_page_report_fails, free_page_hint_count, free_page_hint_freed,
                       free_page_hint_fails, inflate_bad_pages, inflate_freed, inflate_fails))

}  // namespace mote::virtio

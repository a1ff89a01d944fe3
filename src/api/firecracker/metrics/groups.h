// The groups of Firecracker's metrics that are not one struct of mote's as a whole: their keys, in
// the order in which they are printed.
#pragma once

#include <array>
#include <string_view>

namespace mote::api::firecracker {

struct BalloonKeys {
  static constexpr std::array<std::string_view, 12> kKeys{
      "activate_fails",         "inflate_count",          "stats_updates_count",
      "stats_update_fails",     "deflate_count",          "event_fails",
      "free_page_report_count", "free_page_report_freed", "free_page_report_fails",
      "free_page_hint_count",   "free_page_hint_freed",   "free_page_hint_fails"};
};

struct BlockKeys {
  static constexpr std::array<std::string_view, 20> kKeys{"activate_fails",
                                                          "cfg_fails",
                                                          "no_avail_buffer",
                                                          "event_fails",
                                                          "execute_fails",
                                                          "invalid_reqs_count",
                                                          "flush_count",
                                                          "queue_event_count",
                                                          "rate_limiter_event_count",
                                                          "update_count",
                                                          "update_fails",
                                                          "read_bytes",
                                                          "write_bytes",
                                                          "read_count",
                                                          "write_count",
                                                          "read_agg",
                                                          "write_agg",
                                                          "rate_limiter_throttled_events",
                                                          "io_engine_throttled_events",
                                                          "remaining_reqs_count"};
};

struct NetKeys {
  static constexpr std::array<std::string_view, 26> kKeys{"activate_fails",
                                                          "cfg_fails",
                                                          "no_rx_avail_buffer",
                                                          "no_tx_avail_buffer",
                                                          "event_fails",
                                                          "rx_queue_event_count",
                                                          "rx_event_rate_limiter_count",
                                                          "rx_rate_limiter_throttled",
                                                          "rx_tap_event_count",
                                                          "rx_bytes_count",
                                                          "rx_packets_count",
                                                          "rx_fails",
                                                          "rx_count",
                                                          "tap_read_fails",
                                                          "tap_write_fails",
                                                          "tap_write_agg",
                                                          "tx_bytes_count",
                                                          "tx_malformed_frames",
                                                          "tx_fails",
                                                          "tx_count",
                                                          "tx_packets_count",
                                                          "tx_queue_event_count",
                                                          "tx_rate_limiter_event_count",
                                                          "tx_rate_limiter_throttled",
                                                          "tx_spoofed_mac_count",
                                                          "tx_remaining_reqs_count"};
};

struct VsockKeys {
  static constexpr std::array<std::string_view, 20> kKeys{
      "activate_fails",       "cfg_fails",         "rx_queue_event_fails", "tx_queue_event_fails",
      "ev_queue_event_fails", "muxer_event_fails", "conn_event_fails",     "rx_queue_event_count",
      "tx_queue_event_count", "rx_bytes_count",    "tx_bytes_count",       "rx_packets_count",
      "tx_packets_count",     "conns_added",       "conns_killed",         "conns_removed",
      "killq_resync",         "tx_flush_fails",    "tx_write_fails",       "rx_read_fails"};
  // There is no list of connections that wait for their end: each has a timer.
  static constexpr std::array<std::string_view, 1> kNeverCounted{"killq_resync"};
};

struct EntropyKeys {
  static constexpr std::array<std::string_view, 7> kKeys{
      "activate_fails",          "entropy_event_fails", "entropy_event_count",
      "entropy_bytes",           "host_rng_fails",      "entropy_rate_limiter_throttled",
      "rate_limiter_event_count"};
};

struct PmemKeys {
  static constexpr std::array<std::string_view, 6> kKeys{"activate_fails",
                                                         "cfg_fails",
                                                         "event_fails",
                                                         "queue_event_count",
                                                         "rate_limiter_throttled_events",
                                                         "rate_limiter_event_count"};
};

struct MemoryHotplugKeys {
  static constexpr std::array<std::string_view, 18> kKeys{
      "activate_fails", "queue_event_fails", "queue_event_count", "plug_agg",
      "plug_count",     "plug_bytes",        "plug_fails",        "unplug_agg",
      "unplug_count",   "unplug_bytes",      "unplug_fails",      "unplug_discard_fails",
      "unplug_all_agg", "unplug_all_count",  "unplug_all_fails",  "state_agg",
      "state_count",    "state_fails"};
};

struct UartKeys {
  static constexpr std::array<std::string_view, 7> kKeys{
      "error_count", "flush_count", "missed_read_count",         "missed_write_count",
      "read_count",  "write_count", "rate_limiter_dropped_bytes"};
};

struct I8042Keys {
  static constexpr std::array<std::string_view, 6> kKeys{"error_count",        "missed_read_count",
                                                         "missed_write_count", "read_count",
                                                         "reset_count",        "write_count"};
};

struct LoggerKeys {
  static constexpr std::array<std::string_view, 4> kKeys{
      "missed_metrics_count", "metrics_fails", "missed_log_count", "rate_limited_log_count"};
};

struct InterruptsKeys {
  static constexpr std::array<std::string_view, 2> kKeys{"triggers", "config_updates"};
  // Routes of MSI-X are not built: an interrupt of virtio-mmio has none.
  static constexpr std::array<std::string_view, 1> kNeverCounted{"config_updates"};
};

// Of each drive with a vhost-user backend; there is no sum of them.
struct VhostUserKeys {
  static constexpr std::array<std::string_view, 5> kKeys{
      "activate_fails", "cfg_fails", "init_time_us", "activate_time_us", "config_change_time_us"};
};

}  // namespace mote::api::firecracker

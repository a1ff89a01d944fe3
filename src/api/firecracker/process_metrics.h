// What a monitor counts beside its machine: requests of the API, how long some of them took, and
// the process's own fate. Each struct is a group of Firecracker's metrics, its members in the order
// in which they are printed.
#pragma once

#include <boost/describe/class.hpp>

#include "base/counters.h"
#include "metadata/metrics.h"

namespace mote::api::firecracker {

// How long the process took to start, from --start-time-us and --start-time-cpu-us to the first
// request that could be taken; microseconds. 0 where these flags were not given.
struct ApiServerMetrics {
  Gauge process_startup_time_us;
  Gauge process_startup_time_cpu_us;
};
BOOST_DESCRIBE_STRUCT(ApiServerMetrics, (), (process_startup_time_us, process_startup_time_cpu_us))

struct DeprecatedApiMetrics {
  Counter deprecated_http_api_calls;  // requests that used a deprecated field or path
};
BOOST_DESCRIBE_STRUCT(DeprecatedApiMetrics, (), (deprecated_http_api_calls))

// `_count`: requests that came; `_fails`: those of them that were refused.
struct GetRequestsMetrics {
  Counter instance_info_count;
  Counter machine_cfg_count;
  Counter mmds_count;
  Counter vmm_version_count;
  Counter hotplug_memory_count;
};
BOOST_DESCRIBE_STRUCT(GetRequestsMetrics, (),
                      (instance_info_count, machine_cfg_count, mmds_count, vmm_version_count,
                       hotplug_memory_count))

struct PatchRequestsMetrics {
  Counter drive_count;
  Counter drive_fails;
  Counter network_count;
  Counter network_fails;
  Counter machine_cfg_count;
  Counter machine_cfg_fails;
  Counter mmds_count;
  Counter mmds_fails;
  Counter hotplug_memory_count;
  Counter hotplug_memory_fails;
  Counter pmem_count;
  Counter pmem_fails;
};
BOOST_DESCRIBE_STRUCT(PatchRequestsMetrics, (),
                      (drive_count, drive_fails, network_count, network_fails, machine_cfg_count,
                       machine_cfg_fails, mmds_count, mmds_fails, hotplug_memory_count,
                       hotplug_memory_fails, pmem_count, pmem_fails))

struct PutRequestsMetrics {
  Counter actions_count;
  Counter actions_fails;
  Counter boot_source_count;
  Counter boot_source_fails;
  Counter drive_count;
  Counter drive_fails;
  Counter logger_count;
  Counter logger_fails;
  Counter machine_cfg_count;
  Counter machine_cfg_fails;
  Counter cpu_cfg_count;
  Counter cpu_cfg_fails;
  Counter metrics_count;
  Counter metrics_fails;
  Counter network_count;
  Counter network_fails;
  Counter mmds_count;
  Counter mmds_fails;
  Counter vsock_count;
  Counter vsock_fails;
  Counter pmem_count;
  Counter pmem_fails;
  Counter serial_count;
  Counter serial_fails;
  Counter hotplug_memory_count;
  Counter hotplug_memory_fails;
};
BOOST_DESCRIBE_STRUCT(PutRequestsMetrics, (),
                      (actions_count, actions_fails, boot_source_count, boot_source_fails,
                       drive_count, drive_fails, logger_count, logger_fails, machine_cfg_count,
                       machine_cfg_fails, cpu_cfg_count, cpu_cfg_fails, metrics_count,
                       metrics_fails, network_count, network_fails, mmds_count, mmds_fails,
                       vsock_count, vsock_fails, pmem_count, pmem_fails, serial_count, serial_fails,
                       hotplug_memory_count, hotplug_memory_fails))

// How long the last of each took, in microseconds (LatencyScope): the request as a whole, and
// vmm_: the machine thread's part of it.
struct RequestLatencies {
  Gauge full_create_snapshot;
  Gauge diff_create_snapshot;
  Gauge load_snapshot;
  Gauge pause_vm;
  Gauge resume_vm;
  Gauge vmm_full_create_snapshot;
  Gauge vmm_diff_create_snapshot;
  Gauge vmm_load_snapshot;
  Gauge vmm_pause_vm;
  Gauge vmm_resume_vm;
};
BOOST_DESCRIBE_STRUCT(RequestLatencies, (),
                      (full_create_snapshot, diff_create_snapshot, load_snapshot, pause_vm,
                       resume_vm, vmm_full_create_snapshot, vmm_diff_create_snapshot,
                       vmm_load_snapshot, vmm_pause_vm, vmm_resume_vm))

struct SeccompMetrics {
  Gauge num_faults;  // SIGSYS, by which the process ended
};
BOOST_DESCRIBE_STRUCT(SeccompMetrics, (), (num_faults))

struct VmmMetrics {
  Gauge panic_count;  // defects of the program, by which the process ended
};
BOOST_DESCRIBE_STRUCT(VmmMetrics, (), (panic_count))

// Signals that came. Each but SIGPIPE ends the process.
struct SignalMetrics {
  Gauge sigbus;
  Gauge sigsegv;
  Gauge sigxfsz;
  Gauge sigxcpu;
  Counter sigpipe;
  Gauge sighup;
  Gauge sigill;
};
BOOST_DESCRIBE_STRUCT(SignalMetrics, (),
                      (sigbus, sigsegv, sigxfsz, sigxcpu, sigpipe, sighup, sigill))

// All of them. Any thread may add.
struct ProcessMetrics {
  ApiServerMetrics api_server;
  DeprecatedApiMetrics deprecated_api;
  GetRequestsMetrics get_api_requests;
  RequestLatencies latencies_us;
  metadata::MmdsMetrics mmds;
  PatchRequestsMetrics patch_api_requests;
  PutRequestsMetrics put_api_requests;
  SeccompMetrics seccomp;
  VmmMetrics vmm;
  SignalMetrics signals;
};

}  // namespace mote::api::firecracker

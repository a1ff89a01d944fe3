// The table of Firecracker's API: which method of which path is which function of the Controller.
// What is read from a body and what is answered follow from that function's type; so does the
// documentation.
#pragma once

#include <string_view>
#include <tuple>

#include "api/firecracker/controller.h"

namespace mote::api::firecracker {

// A request without an id in its path. kHandler is `Result<A> f()`, `Result<void> f(Body)`, or
// `Result<void> f()`.
template <auto kHandler>
struct Endpoint {
  static constexpr auto kFunction = kHandler;
  std::string_view method;
  std::string_view path;       // as a client writes it; a last segment in braces is an id
  bool body_optional = false;  // no body is an empty object
};

// A request whose path ends in an id, which the body repeats in kId.
template <auto kHandler, auto kIdMember>
struct NamedEndpoint : Endpoint<kHandler> {
  static constexpr auto kId = kIdMember;
};

// A request for what any thread may read, so that it is answered without the machine thread:
// `Result<A> f() const`, of which the Controller says that it is from any thread.
template <auto kHandler>
struct LookUp : Endpoint<kHandler> {};

// A request whose path ends in an id, without a body: `Result<void> f(std::string id)`.
template <auto kHandler>
struct Removal : Endpoint<kHandler> {};

template <typename E>
inline constexpr bool kNamed = false;
template <auto kHandler, auto kId>
inline constexpr bool kNamed<NamedEndpoint<kHandler, kId>> = true;
template <typename E>
inline constexpr bool kLooksUp = false;
template <auto kHandler>
inline constexpr bool kLooksUp<LookUp<kHandler>> = true;
template <typename E>
inline constexpr bool kRemoves = false;
template <auto kHandler>
inline constexpr bool kRemoves<Removal<kHandler>> = true;

// What a function of the Controller takes (nothing, or one body) and answers.
template <typename Function>
struct Signature;
template <typename A, typename... Body>
struct Signature<Result<A> (Controller::*)(Body...)> {
  using Answer = A;
  using Bodies = std::tuple<Body...>;
};
template <typename A>
struct Signature<Result<A> (Controller::*)() const> {
  using Answer = A;
  using Bodies = std::tuple<>;
};

inline constexpr std::tuple kEndpoints{
    LookUp<&Controller::instance>{{"GET", "/"}},
    LookUp<&Controller::version>{{"GET", "/version"}},
    Endpoint<&Controller::act>{"PUT", "/actions"},
    Endpoint<&Controller::put_boot_source>{"PUT", "/boot-source"},
    Endpoint<&Controller::machine_config>{"GET", "/machine-config"},
    Endpoint<&Controller::put_machine_config>{"PUT", "/machine-config"},
    Endpoint<&Controller::patch_machine_config>{"PATCH", "/machine-config"},
    Endpoint<&Controller::put_cpu_config>{"PUT", "/cpu-config"},
    NamedEndpoint<&Controller::put_drive, &virtio::BlockConfig::drive_id>{
        {"PUT", "/drives/{drive_id}"}},
    NamedEndpoint<&Controller::patch_drive, &DriveUpdate::drive_id>{
        {"PATCH", "/drives/{drive_id}"}},
    Removal<&Controller::delete_drive>{{"DELETE", "/drives/{drive_id}"}},
    NamedEndpoint<&Controller::put_interface, &virtio::NetConfig::iface_id>{
        {"PUT", "/network-interfaces/{iface_id}"}},
    NamedEndpoint<&Controller::patch_interface, &InterfaceUpdate::iface_id>{
        {"PATCH", "/network-interfaces/{iface_id}"}},
    Removal<&Controller::delete_interface>{{"DELETE", "/network-interfaces/{iface_id}"}},
    NamedEndpoint<&Controller::put_pmem, &virtio::PmemConfig::id>{{"PUT", "/pmem/{id}"}},
    NamedEndpoint<&Controller::patch_pmem, &PmemUpdate::id>{{"PATCH", "/pmem/{id}"}},
    Removal<&Controller::delete_pmem>{{"DELETE", "/pmem/{id}"}},
    Endpoint<&Controller::put_vsock>{"PUT", "/vsock"},
    Endpoint<&Controller::put_entropy>{"PUT", "/entropy"},
    Endpoint<&Controller::balloon>{"GET", "/balloon"},
    Endpoint<&Controller::put_balloon>{"PUT", "/balloon"},
    Endpoint<&Controller::patch_balloon>{"PATCH", "/balloon"},
    Endpoint<&Controller::balloon_statistics>{"GET", "/balloon/statistics"},
    Endpoint<&Controller::patch_balloon_statistics>{"PATCH", "/balloon/statistics"},
    Endpoint<&Controller::start_hinting>{"PATCH", "/balloon/hinting/start", true},
    Endpoint<&Controller::hinting>{"GET", "/balloon/hinting/status"},
    Endpoint<&Controller::stop_hinting>{"PATCH", "/balloon/hinting/stop"},
    Endpoint<&Controller::memory_status>{"GET", "/hotplug/memory"},
    Endpoint<&Controller::put_memory_hotplug>{"PUT", "/hotplug/memory"},
    Endpoint<&Controller::patch_memory>{"PATCH", "/hotplug/memory"},
    Endpoint<&Controller::put_serial>{"PUT", "/serial"},
    Endpoint<&Controller::put_logger>{"PUT", "/logger"},
    Endpoint<&Controller::put_metrics>{"PUT", "/metrics"},
    Endpoint<&Controller::mmds>{"GET", "/mmds"},
    Endpoint<&Controller::put_mmds>{"PUT", "/mmds"},
    Endpoint<&Controller::patch_mmds>{"PATCH", "/mmds"},
    Endpoint<&Controller::put_mmds_config>{"PUT", "/mmds/config"},
    Endpoint<&Controller::patch_vm>{"PATCH", "/vm"},
    Endpoint<&Controller::full_config>{"GET", "/vm/config"},
    Endpoint<&Controller::create_snapshot>{"PUT", "/snapshot/create"},
    Endpoint<&Controller::load_snapshot>{"PUT", "/snapshot/load"},
    // Mote's own.
    Endpoint<&Controller::put_console>{"PUT", "/console"},
    Endpoint<&Controller::metrics_report>{"GET", "/vm/metrics"},
    Endpoint<&Controller::fork>{"PUT", "/fork", true},
};

}  // namespace mote::api::firecracker

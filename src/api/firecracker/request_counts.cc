#include "api/firecracker/request_counts.h"

#include <array>
#include <string_view>

namespace mote::api::firecracker {
namespace {

template <typename Group>
struct Row {
  std::string_view begin;  // of the path, whole segments
  Counter Group::* count;
  Counter Group::* fails = nullptr;
};

using Get = GetRequestsMetrics;
constexpr std::array kGet{
    Row<Get>{"version", &Get::vmm_version_count},
    Row<Get>{"machine-config", &Get::machine_cfg_count},
    Row<Get>{"mmds", &Get::mmds_count},
    Row<Get>{"hotplug/memory", &Get::hotplug_memory_count},
    Row<Get>{"", &Get::instance_info_count},
};

using Put = PutRequestsMetrics;
constexpr std::array kPut{
    Row<Put>{"actions", &Put::actions_count, &Put::actions_fails},
    Row<Put>{"boot-source", &Put::boot_source_count, &Put::boot_source_fails},
    Row<Put>{"drives", &Put::drive_count, &Put::drive_fails},
    Row<Put>{"logger", &Put::logger_count, &Put::logger_fails},
    Row<Put>{"machine-config", &Put::machine_cfg_count, &Put::machine_cfg_fails},
    Row<Put>{"cpu-config", &Put::cpu_cfg_count, &Put::cpu_cfg_fails},
    Row<Put>{"metrics", &Put::metrics_count, &Put::metrics_fails},
    Row<Put>{"network-interfaces", &Put::network_count, &Put::network_fails},
    Row<Put>{"mmds", &Put::mmds_count, &Put::mmds_fails},
    Row<Put>{"vsock", &Put::vsock_count, &Put::vsock_fails},
    Row<Put>{"pmem", &Put::pmem_count, &Put::pmem_fails},
    Row<Put>{"serial", &Put::serial_count, &Put::serial_fails},
    Row<Put>{"hotplug/memory", &Put::hotplug_memory_count, &Put::hotplug_memory_fails},
};

using Patch = PatchRequestsMetrics;
constexpr std::array kPatch{
    Row<Patch>{"drives", &Patch::drive_count, &Patch::drive_fails},
    Row<Patch>{"network-interfaces", &Patch::network_count, &Patch::network_fails},
    Row<Patch>{"machine-config", &Patch::machine_cfg_count, &Patch::machine_cfg_fails},
    Row<Patch>{"mmds", &Patch::mmds_count, &Patch::mmds_fails},
    Row<Patch>{"hotplug/memory", &Patch::hotplug_memory_count, &Patch::hotplug_memory_fails},
    Row<Patch>{"pmem", &Patch::pmem_count, &Patch::pmem_fails},
};

bool begins_with(std::string_view path, std::string_view begin) {
  if (begin.empty()) return path.empty();
  return path.starts_with(begin) && (path.size() == begin.size() || path[begin.size()] == '/');
}

template <typename Group, std::size_t kSize>
void count(const std::array<Row<Group>, kSize>& rows, std::string_view path, bool failed,
           Group& group) {
  for (const Row<Group>& row : rows) {
    if (!begins_with(path, row.begin)) continue;
    ++(group.*row.count);
    if (failed && row.fails != nullptr) ++(group.*row.fails);
    return;
  }
}

}  // namespace

void count_request(const http::Request& request, const http::Response& response,
                   ProcessMetrics& counts) {
  std::string_view path = request.target;
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  const bool failed = response.status >= 300;
  if (request.method == "GET") count(kGet, path, failed, counts.get_api_requests);
  if (request.method == "PUT") count(kPut, path, failed, counts.put_api_requests);
  if (request.method == "PATCH") count(kPatch, path, failed, counts.patch_api_requests);
  if (response.deprecated) ++counts.deprecated_api.deprecated_http_api_calls;
}

}  // namespace mote::api::firecracker

// What a client may ask of a machine that was started.
#include <algorithm>
#include <utility>

#include "api/firecracker/controller.h"
#include "base/json.h"
#include "virtio/block/device.h"
#include "virtio/net/device.h"
#include "virtio/pmem/device.h"
#include "virtio/vhost_user_block/device.h"

namespace mote::api::firecracker {
namespace {

// What a limiter is after an update of it: buckets that were not given stay, those of nothing go.
void merge(std::optional<virtio::RateLimiterConfig>& limiter,
           const std::optional<virtio::RateLimiterConfig>& update) {
  if (!update) return;
  virtio::RateLimiterConfig merged = limiter.value_or(virtio::RateLimiterConfig{});
  const auto change = [](auto& bucket, const auto& wanted) {
    if (!wanted) return;
    bucket = wanted;
    if (wanted->size == 0 || wanted->refill_time == 0) bucket.reset();
  };
  change(merged.bandwidth, update->bandwidth);
  change(merged.ops, update->ops);
  limiter.reset();
  if (merged.bandwidth || merged.ops) limiter = merged;
}

template <typename Config>
Config* find(std::vector<Config>& list, std::string Config::* id, const std::string& wanted) {
  const auto found = std::ranges::find(list, wanted, [id](const Config& one) { return one.*id; });
  return found == list.end() ? nullptr : &*found;
}

std::unexpected<Error> no_such(std::string_view what, std::string_view id) {
  return fail(ErrorKind::kNotFound, "there is no {} {}", what, json::quote(id));
}

}  // namespace

template <typename D>
Result<D*> Controller::running(std::string_view what, std::string_view id) {
  MOTE_CHECK(after_start(what));
  if (D* device = machine_->find<D>(id)) return device;
  const auto& kind = std::get<virtio::kKindIndex<D>>(virtio::kDeviceKinds);
  if (id.empty()) return fail(ErrorKind::kNotFound, "{}: there is no {}", what, kind.what);
  return no_such(kind.what, id);
}

Result<void> Controller::patch_vm(VmUpdate update) {
  MOTE_CHECK(after_start("PATCH /vm"));
  const bool pause = update.state == WantedState::Paused;
  if (pause == (state_ == InstanceState::Paused)) return {};
  RequestLatencies& latencies = metrics_.counts.latencies_us;
  if (pause) {
    const LatencyScope took(latencies.vmm_pause_vm);
    machine_->pause();
  } else {
    const LatencyScope took(latencies.vmm_resume_vm);
    MOTE_CHECK(machine_->get_ready());
    goes_on_ = true;
  }
  state_ = pause ? InstanceState::Paused : InstanceState::Running;
  return {};
}

Result<void> Controller::patch_drive(DriveUpdate update) {
  MOTE_CHECK(after_start("PATCH /drives"));
  virtio::BlockConfig* config =
      find(config_.drives, &virtio::BlockConfig::drive_id, update.drive_id);
  if (config == nullptr) return no_such("drive", update.drive_id);
  if (config->socket) {
    if (update.path_on_host || update.rate_limiter) {
      return fail(ErrorKind::kInvalid,
                  "drive {} has a vhost-user backend, to which path_on_host and rate_limiter are "
                  "left; without them, the backend is asked for its disk's size again",
                  json::quote(update.drive_id));
    }
    MOTE_TRY(virtio::VhostUserBlock * disk,
             running<virtio::VhostUserBlock>("PATCH /drives", update.drive_id));
    return disk->refresh();
  }
  if (!update.path_on_host && !update.rate_limiter) {
    return fail(ErrorKind::kInvalid,
                "drive {}: nothing is to change; give path_on_host or rate_limiter",
                json::quote(update.drive_id));
  }
  MOTE_TRY(virtio::Block * block, running<virtio::Block>("PATCH /drives", update.drive_id));
  // What a limit needs of the host first: the rest cannot fail once the disk is another.
  if (update.rate_limiter) MOTE_CHECK(block->prepare_limit(loop_));
  if (update.path_on_host) {
    MOTE_CHECK(block->replace_disk(*update.path_on_host));
    config->path_on_host = update.path_on_host;
  }
  if (update.rate_limiter) MOTE_CHECK(block->limit(loop_, *update.rate_limiter));
  merge(config->rate_limiter, update.rate_limiter);
  return {};
}

Result<void> Controller::patch_interface(InterfaceUpdate update) {
  MOTE_TRY(virtio::Net * net, running<virtio::Net>("PATCH /network-interfaces", update.iface_id));
  MOTE_CHECK(net->update_limits(update.rx_rate_limiter, update.tx_rate_limiter));
  virtio::NetConfig* config =
      find(config_.network_interfaces, &virtio::NetConfig::iface_id, update.iface_id);
  if (config == nullptr) return {};
  merge(config->rx_rate_limiter, update.rx_rate_limiter);
  merge(config->tx_rate_limiter, update.tx_rate_limiter);
  return {};
}

Result<void> Controller::patch_pmem(PmemUpdate update) {
  MOTE_TRY(virtio::Pmem * pmem, running<virtio::Pmem>("PATCH /pmem", update.id));
  if (!update.rate_limiter) return {};
  MOTE_CHECK(pmem->limit(*update.rate_limiter));
  virtio::PmemConfig* config = find(config_.pmem, &virtio::PmemConfig::id, update.id);
  if (config != nullptr) merge(config->rate_limiter, update.rate_limiter);
  return {};
}

Result<void> Controller::patch_balloon(BalloonUpdate update) {
  MOTE_TRY(virtio::Balloon * balloon, running<virtio::Balloon>("PATCH /balloon"));
  MOTE_CHECK(balloon->update(update.amount_mib));
  config_.balloon = balloon->config();
  return {};
}

Result<virtio::BalloonStatistics> Controller::balloon_statistics() {
  MOTE_TRY(virtio::Balloon * balloon, running<virtio::Balloon>("GET /balloon/statistics"));
  return balloon->statistics();
}

Result<void> Controller::patch_balloon_statistics(BalloonStatisticsUpdate update) {
  MOTE_TRY(virtio::Balloon * balloon, running<virtio::Balloon>("PATCH /balloon/statistics"));
  MOTE_CHECK(balloon->update_statistics(update.stats_polling_interval_s));
  config_.balloon = balloon->config();
  return {};
}

Result<void> Controller::start_hinting(HintingStart how) {
  MOTE_TRY(virtio::Balloon * balloon, running<virtio::Balloon>("PATCH /balloon/hinting/start"));
  return balloon->start_hinting(how.acknowledge_on_stop);
}

Result<void> Controller::stop_hinting() {
  MOTE_TRY(virtio::Balloon * balloon, running<virtio::Balloon>("PATCH /balloon/hinting/stop"));
  return balloon->stop_hinting();
}

Result<virtio::BalloonHintingStatus> Controller::hinting() {
  MOTE_TRY(virtio::Balloon * balloon, running<virtio::Balloon>("GET /balloon/hinting/status"));
  return balloon->hinting();
}

Result<virtio::MemStatus> Controller::memory_status() {
  MOTE_TRY(virtio::Mem * memory, running<virtio::Mem>("GET /hotplug/memory"));
  return memory->status();
}

Result<void> Controller::patch_memory(MemoryUpdate update) {
  MOTE_TRY(virtio::Mem * memory, running<virtio::Mem>("PATCH /hotplug/memory"));
  return memory->update(update.requested_size_mib);
}

}  // namespace mote::api::firecracker

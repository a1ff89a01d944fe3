#include "virtio/mem/device.h"

#include <linux/virtio_ids.h>

#include <cstring>
#include <utility>

#include "virtio/queue/serve.h"

namespace mote::virtio {
namespace {

constexpr std::uint64_t kMib = 1 << 20;
// Memory slots that one request may touch: each costs milliseconds. Linux asks for 2 GiB at most,
// which are 16 of the smallest.
constexpr std::uint64_t kMostSlots = 32;

}  // namespace

Result<std::unique_ptr<Mem>> Mem::make(const MemConfig& config, const DeviceServices& services,
                                       std::optional<memory::GuestAddress> at) {
  MOTE_CHECK(check(config));
  MOTE_TRY(auto memory, memory::PluggableMemory::create(services.space,
                                                        {.total = config.total_size_mib * kMib,
                                                         .slot = config.slot_size_mib * kMib,
                                                         .block = config.block_size_mib * kMib},
                                                        at));
  return std::unique_ptr<Mem>(new Mem(config, std::move(memory)));
}

Result<std::unique_ptr<Mem>> Mem::create(const MemConfig& config, const DeviceServices& services) {
  return make(config, services, std::nullopt);
}

Result<std::unique_ptr<Mem>> Mem::restore(const MemConfig& config, const DeviceServices& services,
                                          const MemState& state) {
  if (state.total_size_mib != config.total_size_mib ||
      state.block_size_mib != config.block_size_mib ||
      state.slot_size_mib != config.slot_size_mib) {
    return fail(ErrorKind::kInvalid,
                "memory-hotplug was saved with sizes {}, {}, {} (total, block, slot) and now has "
                "{}, {}, {}: it cannot go on",
                state.total_size_mib, state.block_size_mib, state.slot_size_mib,
                config.total_size_mib, config.block_size_mib, config.slot_size_mib);
  }
  MemConfig saved = config;
  saved.requested_size_mib = state.requested_size_mib;
  MOTE_TRY(auto mem, make(saved, services, state.start));
  mem->active_ = state.active;
  MOTE_CHECK(mem->plug_saved(state));
  return mem;
}

Result<void> Mem::plug_saved(const MemState& state) {
  for (const BlockRun& run : state.plugged) {
    if (run.count == 0 || run.first >= memory_->blocks() ||
        run.count > memory_->blocks() - run.first || memory_->plugged(run.first, run.count) != 0) {
      return fail(ErrorKind::kInvalid,
                  "memory-hotplug was saved with {} blocks from {} on, of {}: they are not there",
                  run.count, run.first, memory_->blocks());
    }
    MOTE_CHECK(memory_->plug(run.first, run.count));
  }
  return {};
}

MemState Mem::save() const {
  MemState state{.start = memory_->range().start,
                 .total_size_mib = config_.total_size_mib,
                 .block_size_mib = config_.block_size_mib,
                 .slot_size_mib = config_.slot_size_mib,
                 .requested_size_mib = config_.requested_size_mib,
                 .active = active_,
                 .plugged = {}};
  for (std::uint64_t block = 0; block < memory_->blocks(); ++block) {
    if (memory_->plugged(block, 1) == 0) continue;
    auto& runs = state.plugged;
    if (!runs.empty() && runs.back().first + runs.back().count == block) {
      ++runs.back().count;
    } else {
      runs.push_back({.first = block, .count = 1});
    }
  }
  return state;
}

Result<void> Mem::update(std::uint32_t requested_size_mib) {
  MOTE_CHECK(check_requested(config_, requested_size_mib));
  if (!active_) return fail(ErrorKind::kState, "the guest has no driver for memory-hotplug yet");
  config_.requested_size_mib = requested_size_mib;
  config_changed();
  return {};
}

MemStatus Mem::status() const {
  return {.total_size_mib = config_.total_size_mib,
          .block_size_mib = config_.block_size_mib,
          .slot_size_mib = config_.slot_size_mib,
          .plugged_size_mib = memory_->plugged() * config_.block_size_mib,
          .requested_size_mib = config_.requested_size_mib};
}

DeviceTraits Mem::traits() const {
  return {.type = VIRTIO_ID_MEM,
          .features = std::uint64_t{1} << VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
          .queue_sizes = {kQueueSize},
          .config_size = sizeof(virtio_mem_config)};
}

void Mem::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  virtio_mem_config config{};
  config.block_size = memory_->sizes().block;
  config.addr = memory_->range().start;
  config.region_size = memory_->sizes().total;
  config.usable_region_size = memory_->sizes().total;
  config.plugged_size = memory_->plugged() * memory_->sizes().block;
  config.requested_size = config_.requested_size_mib * kMib;
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

Result<void> Mem::start(std::uint16_t /*index*/, Queue queue) {
  queue_ = std::move(queue);
  active_ = true;
  return {};
}

std::optional<Queue> Mem::stop(std::uint16_t /*index*/) {
  return std::exchange(queue_, std::nullopt);
}

void Mem::kick(std::uint16_t /*index*/) {
  if (!queue_) return;
  ++metrics_.queue_event_count;
  serve(*queue_, [this](Chain chain) { return handle(std::move(chain)); });
}

// Requests (5.15.6.2). Others have their turn after each, as it may take milliseconds.
// ------------------------------------------------------------------------------------------------

bool Mem::handle(Chain chain) {
  const auto request = chain.in().read<virtio_mem_req>();
  if (!request || chain.out().left() < sizeof(virtio_mem_resp)) {
    ++metrics_.queue_event_fails;
  } else {
    const Answer answer = perform(*request);
    // How much is plugged stands in configuration space.
    config_refreshed();
    virtio_mem_resp response{};
    response.type = answer.type;
    response.u.state.state = answer.state;
    static_cast<void>(chain.out().write(response));
  }
  std::move(chain).complete();
  queue_->again();
  return false;
}

Mem::Answer Mem::perform(const virtio_mem_req& request) {
  Answer answer;
  // The three requests for blocks have one layout.
  const auto run = blocks_of(request.u.plug.addr, request.u.plug.nb_blocks);
  switch (request.type) {
    case VIRTIO_MEM_REQ_PLUG: {
      const LatencyScope took(metrics_.plug_agg);
      ++metrics_.plug_count;
      if (run) answer = plug(*run);
      if (answer.type != VIRTIO_MEM_RESP_ACK) ++metrics_.plug_fails;
      break;
    }
    case VIRTIO_MEM_REQ_UNPLUG: {
      const LatencyScope took(metrics_.unplug_agg);
      ++metrics_.unplug_count;
      if (run) answer = unplug(*run);
      if (answer.type != VIRTIO_MEM_RESP_ACK) ++metrics_.unplug_fails;
      break;
    }
    case VIRTIO_MEM_REQ_UNPLUG_ALL: {
      const LatencyScope took(metrics_.unplug_all_agg);
      ++metrics_.unplug_all_count;
      answer = unplug_all();
      break;
    }
    case VIRTIO_MEM_REQ_STATE: {
      const LatencyScope took(metrics_.state_agg);
      ++metrics_.state_count;
      if (run) answer = state_of(*run);
      if (answer.type != VIRTIO_MEM_RESP_ACK) ++metrics_.state_fails;
      break;
    }
    default:
      ++metrics_.queue_event_fails;
  }
  return answer;
}

std::optional<BlockRun> Mem::blocks_of(std::uint64_t address, std::uint16_t count) const {
  const memory::Range& range = memory_->range();
  if (address < range.start || address >= range.end() || count == 0) return std::nullopt;
  const std::uint64_t offset = address - range.start;
  const BlockRun run{.first = offset / memory_->sizes().block, .count = count};
  if (offset % memory_->sizes().block != 0 || run.count > memory_->blocks() - run.first) {
    return std::nullopt;
  }
  return run;
}

Mem::Answer Mem::plug(const BlockRun& run) {
  if (memory_->plugged(run.first, run.count) != 0 ||
      memory_->slots_of(run.first, run.count) > kMostSlots) {
    return {.type = VIRTIO_MEM_RESP_ERROR};
  }
  const std::uint64_t requested = config_.requested_size_mib / config_.block_size_mib;
  if (memory_->plugged() + run.count > requested) return {.type = VIRTIO_MEM_RESP_NACK};
  if (auto plugged = memory_->plug(run.first, run.count); !plugged) {
    // The host may have it later, and Linux tries again.
    report(plugged.error());
    return {.type = VIRTIO_MEM_RESP_BUSY};
  }
  metrics_.plug_bytes += run.count * memory_->sizes().block;
  return {.type = VIRTIO_MEM_RESP_ACK};
}

Mem::Answer Mem::unplug(const BlockRun& run) {
  if (memory_->plugged(run.first, run.count) != run.count ||
      memory_->slots_of(run.first, run.count) > kMostSlots) {
    return {.type = VIRTIO_MEM_RESP_ERROR};
  }
  if (!memory_->unplug(run.first, run.count)) kept();
  metrics_.unplug_bytes += run.count * memory_->sizes().block;
  return {.type = VIRTIO_MEM_RESP_ACK};
}

Mem::Answer Mem::unplug_all() {
  metrics_.unplug_bytes += memory_->plugged() * memory_->sizes().block;
  if (!memory_->unplug_all()) kept();
  return {.type = VIRTIO_MEM_RESP_ACK};
}

Mem::Answer Mem::state_of(const BlockRun& run) const {
  const std::uint64_t plugged = memory_->plugged(run.first, run.count);
  const int state = plugged == 0           ? VIRTIO_MEM_STATE_UNPLUGGED
                    : plugged == run.count ? VIRTIO_MEM_STATE_PLUGGED
                                           : VIRTIO_MEM_STATE_MIXED;
  return {.type = VIRTIO_MEM_RESP_ACK, .state = static_cast<std::uint16_t>(state)};
}

// The guest has let go of memory that the host did not take back.
void Mem::kept() {
  ++metrics_.unplug_discard_fails;
  report({ErrorKind::kIo, "the host would not take back all that was unplugged"});
}

void Mem::report(const Error& error) {
  failures_.tell(log::Level::kWarning, "memory-hotplug", error);
}

}  // namespace mote::virtio

// The memory device (VIRTIO 1.2, 5.15): memory that the guest plugs in and out, block by block, as
// much as it is asked to have. Belongs to the machine thread.
#pragma once

#include <linux/virtio_mem.h>

#include <memory>
#include <optional>

#include "base/failure_log.h"
#include "memory/pluggable.h"
#include "virtio/device.h"
#include "virtio/mem/config.h"
#include "virtio/mem/metrics.h"
#include "virtio/mem/state.h"

namespace mote::virtio {

// How much there is and how far the guest is.
struct MemStatus {
  std::uint64_t total_size_mib = 0;
  std::uint64_t block_size_mib = 0;
  std::uint64_t slot_size_mib = 0;
  std::uint64_t plugged_size_mib = 0;
  std::uint64_t requested_size_mib = 0;
};
BOOST_DESCRIBE_STRUCT(MemStatus, (),
                      (total_size_mib, block_size_mib, slot_size_mib, plugged_size_mib,
                       requested_size_mib))

class Mem final : public Device {
 public:
  using Config = MemConfig;
  using State = MemState;

  static constexpr std::uint16_t kQueueSize = 256;

  // Takes the addresses, above RAM, and no memory. Errors: no addresses left; as
  // PluggableMemory::create().
  static Result<std::unique_ptr<Mem>> create(const MemConfig& config,
                                             const DeviceServices& services);
  // With the blocks plugged that `state` has, empty. Errors (kInvalid): another size than its
  // driver knows, or blocks that are not there.
  static Result<std::unique_ptr<Mem>> restore(const MemConfig& config,
                                              const DeviceServices& services,
                                              const MemState& state);

  // Has the driver plug or unplug blocks until it has this much. Errors: not a multiple of the
  // block, more than all (kInvalid); no driver (kState).
  Result<void> update(std::uint32_t requested_size_mib);
  MemStatus status() const;

  // The configuration with what was changed since the start.
  const MemConfig& config() const { return config_; }
  const MemMetrics& metrics() const { return metrics_; }
  MemState save() const;

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  void reset() override { active_ = false; }

 private:
  // VIRTIO_MEM_RESP_*, and what VIRTIO_MEM_REQ_STATE found.
  struct Answer {
    std::uint16_t type = VIRTIO_MEM_RESP_ERROR;
    std::uint16_t state = 0;
  };

  Mem(const MemConfig& config, std::unique_ptr<memory::PluggableMemory> memory)
      : config_(config), memory_(std::move(memory)) {}
  static Result<std::unique_ptr<Mem>> make(const MemConfig& config, const DeviceServices& services,
                                           std::optional<memory::GuestAddress> at);
  Result<void> plug_saved(const MemState& state);

  bool handle(Chain chain);
  Answer perform(const virtio_mem_req& request);
  std::optional<BlockRun> blocks_of(std::uint64_t address, std::uint16_t count) const;
  Answer plug(const BlockRun& run);
  Answer unplug(const BlockRun& run);
  Answer unplug_all();
  Answer state_of(const BlockRun& run) const;
  void kept();
  void report(const Error& error);

  MemConfig config_;
  std::unique_ptr<memory::PluggableMemory> memory_;
  std::optional<Queue> queue_;
  bool active_ = false;
  MemMetrics metrics_;
  log::FailureLog failures_;
};

}  // namespace mote::virtio

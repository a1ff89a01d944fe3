// The memory balloon (VIRTIO 1.2, 5.5): the guest hands pages over, which go back to the host,
// until the balloon has the size that is asked for. It also asks the guest for statistics, and
// takes back pages that the guest says are free: as they become free (reporting), or once, when
// asked (hinting). Belongs to the machine thread.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "base/event_loop.h"
#include "base/failure_log.h"
#include "virtio/balloon/config.h"
#include "virtio/balloon/metrics.h"
#include "virtio/balloon/state.h"
#include "virtio/balloon/statistics.h"
#include "virtio/device.h"

namespace mote::virtio {

// How far hinting is. Commands: 0 when nothing was begun (or, from the guest, when it has ended a
// run), 1 when the guest may have its pages back, else the number of a run.
struct BalloonHintingStatus {
  std::uint32_t host_cmd = 0;
  std::optional<std::uint32_t> guest_cmd{};
};
BOOST_DESCRIBE_STRUCT(BalloonHintingStatus, (), (host_cmd, guest_cmd))

class Balloon final : public Device {
 public:
  using Config = BalloonConfig;
  using State = BalloonState;

  static constexpr std::uint16_t kQueueSize = 256;

  // Errors: an amount that is more than the guest's RAM.
  static Result<std::unique_ptr<Balloon>> create(const BalloonConfig& config,
                                                 const DeviceServices& services);
  // Also when `state` has statistics and `config` has not, or the other way round: a driver knows
  // its device's features.
  static Result<std::unique_ptr<Balloon>> restore(const BalloonConfig& config,
                                                  const DeviceServices& services,
                                                  const BalloonState& state);

  // What the API asks for
  // ----------------------------------------------------------------------------------------------

  // The configuration with what was changed since the start.
  const BalloonConfig& config() const { return config_; }
  // Has the driver bring the balloon to this size. Errors: more than RAM (kInvalid), no driver
  // (kState).
  Result<void> update(std::uint32_t amount_mib);
  // Another period in seconds. Statistics cannot be switched on or off (kInvalid).
  Result<void> update_statistics(std::uint16_t interval_s);
  // What the guest said last. An error (kInvalid) without statistics.
  Result<BalloonStatistics> statistics() const;
  // Has the driver tell which pages are free, which then go back to the host. With
  // `acknowledge_on_stop` the guest uses them again when it has told all, else from stop_hinting()
  // on. Errors: no hinting (kInvalid), no driver (kState).
  Result<void> start_hinting(bool acknowledge_on_stop);
  Result<void> stop_hinting();
  Result<BalloonHintingStatus> hinting() const;

  const BalloonMetrics& metrics() const { return metrics_; }
  BalloonState save() const;

  DeviceTraits traits() const override;
  void read_config(std::uint32_t offset, std::span<std::byte> into) const override;
  bool write_config(std::uint32_t offset, std::span<const std::byte> from) override;
  Result<void> start(std::uint16_t index, Queue queue) override;
  std::optional<Queue> stop(std::uint16_t index) override;
  void kick(std::uint16_t index) override;
  void reset() override;

 private:
  enum class Role { kInflate, kDeflate, kStatistics, kHinting, kReporting };
  struct Line {
    std::optional<Queue> queue;
    Role role = Role::kInflate;
  };

  Balloon(const BalloonConfig& config, const DeviceServices& services)
      : config_(config), memory_(services.memory) {}
  Result<void> check_amount(std::uint32_t amount_mib) const;

  void inflate(Queue& queue);
  std::uint64_t inflate_chain(Chain chain);
  void give_up_pages(std::span<std::uint32_t> pages);
  void give_up_run(std::uint64_t first, std::uint64_t count);
  void deflate(Queue& queue);
  void report(Queue& queue);
  void hint(Queue& queue);
  void take_hints(Chain& chain);
  void take_command(std::uint32_t command);
  // Gives a range back; the bytes, or nothing when the host would not have it.
  std::optional<std::uint64_t> discard(const memory::GuestSlice& slice);

  void take_statistics(Queue& queue);
  void read_statistics(Chain& chain);
  void poll_statistics();
  void schedule_polls();
  Line* line_of(Role role);

  BalloonConfig config_;
  const memory::GuestMemory& memory_;
  std::uint32_t actual_pages_ = 0;  // as the driver says
  bool active_ = false;
  std::array<Line, 5> lines_;

  EventLoop::Timer timer_;
  std::optional<Chain> statistics_chain_;  // kept until the next poll: giving it back is the poll
  GuestMemoryStatistics statistics_;

  std::uint32_t host_cmd_ = 0;
  std::uint32_t last_run_ = 1;
  std::optional<std::uint32_t> guest_cmd_;
  bool acknowledge_on_stop_ = true;

  BalloonMetrics metrics_;
  log::FailureLog failures_;
};

}  // namespace mote::virtio

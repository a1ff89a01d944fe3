#include "virtio/balloon/device.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "virtio/queue/serve.h"

namespace mote::virtio {
namespace {

constexpr std::uint64_t kPageSize = std::uint64_t{1} << VIRTIO_BALLOON_PFN_SHIFT;
constexpr std::uint32_t kPagesPerMib = (1 << 20) / kPageSize;

constexpr std::uint64_t feature(unsigned bit) { return std::uint64_t{1} << bit; }

}  // namespace

Result<std::unique_ptr<Balloon>> Balloon::create(const BalloonConfig& config,
                                                 const DeviceServices& services) {
  MOTE_CHECK(check(config));
  std::unique_ptr<Balloon> balloon(new Balloon(config, services));
  MOTE_CHECK(balloon->check_amount(config.amount_mib));
  if (config.stats_polling_interval_s != 0) {
    MOTE_TRY(balloon->timer_,
             services.loop.timer([self = balloon.get()] { self->poll_statistics(); }));
  }
  return balloon;
}

Result<std::unique_ptr<Balloon>> Balloon::restore(const BalloonConfig& config,
                                                  const DeviceServices& services,
                                                  const BalloonState& state) {
  if ((config.stats_polling_interval_s == 0) != (state.stats_polling_interval_s == 0)) {
    return fail(ErrorKind::kInvalid,
                "the balloon was saved {} statistics and now is {} them: it cannot go on",
                state.stats_polling_interval_s == 0 ? "without" : "with",
                config.stats_polling_interval_s == 0 ? "without" : "with");
  }
  BalloonConfig saved = config;
  saved.amount_mib = state.amount_mib;
  saved.stats_polling_interval_s = state.stats_polling_interval_s;
  MOTE_TRY(auto balloon, create(saved, services));
  balloon->actual_pages_ = state.actual_pages;
  balloon->statistics_ = state.statistics;
  balloon->active_ = state.active;
  balloon->host_cmd_ = state.host_cmd;
  balloon->last_run_ = state.last_run;
  balloon->guest_cmd_ = state.guest_cmd;
  balloon->acknowledge_on_stop_ = state.acknowledge_on_stop;
  return balloon;
}

BalloonState Balloon::save() const {
  return {.amount_mib = config_.amount_mib,
          .actual_pages = actual_pages_,
          .stats_polling_interval_s = config_.stats_polling_interval_s,
          .statistics = statistics_,
          .active = active_,
          .host_cmd = host_cmd_,
          .last_run = last_run_,
          .guest_cmd = guest_cmd_,
          .acknowledge_on_stop = acknowledge_on_stop_};
}

DeviceTraits Balloon::traits() const {
  DeviceTraits traits{.type = VIRTIO_ID_BALLOON,
                      .features = 0,
                      .queue_sizes = {kQueueSize, kQueueSize},
                      .config_size = sizeof(virtio_balloon_config)};
  const auto offer = [&](bool wanted, unsigned bit, bool queue) {
    if (!wanted) return;
    traits.features |= feature(bit);
    if (queue) traits.queue_sizes.push_back(kQueueSize);
  };
  offer(config_.deflate_on_oom, VIRTIO_BALLOON_F_DEFLATE_ON_OOM, false);
  offer(config_.stats_polling_interval_s != 0, VIRTIO_BALLOON_F_STATS_VQ, true);
  offer(config_.free_page_hinting, VIRTIO_BALLOON_F_FREE_PAGE_HINT, true);
  offer(config_.free_page_reporting, VIRTIO_BALLOON_F_REPORTING, true);
  return traits;
}

void Balloon::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  virtio_balloon_config config{};
  config.num_pages = config_.amount_mib * kPagesPerMib;
  config.actual = actual_pages_;
  config.free_page_hint_cmd_id = host_cmd_;
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

bool Balloon::write_config(std::uint32_t offset, std::span<const std::byte> from) {
  // Only how many pages the balloon has is the driver's to say.
  constexpr std::uint32_t kActual = offsetof(virtio_balloon_config, actual);
  if (offset < kActual || offset + from.size() > kActual + sizeof actual_pages_) return false;
  std::memcpy(reinterpret_cast<std::byte*>(&actual_pages_) + (offset - kActual), from.data(),
              from.size());
  return true;
}

// Start and stop. Linux numbers the queues that its features bring one after the other, without
// holes, and what a driver does not take does not count.
// ------------------------------------------------------------------------------------------------

Result<void> Balloon::start(std::uint16_t index, Queue queue) {
  std::array<Role, 5> roles{Role::kInflate, Role::kDeflate};
  std::size_t count = 2;
  const auto take = [&](unsigned bit, Role role) {
    if ((queue.features() & feature(bit)) != 0) roles[count++] = role;
  };
  take(VIRTIO_BALLOON_F_STATS_VQ, Role::kStatistics);
  take(VIRTIO_BALLOON_F_FREE_PAGE_HINT, Role::kHinting);
  take(VIRTIO_BALLOON_F_REPORTING, Role::kReporting);
  if (index >= count) {
    return fail(ErrorKind::kGuest, "queue {} was started, and the features taken bring {}", index,
                count);
  }
  active_ = true;
  lines_[index] = {.queue = std::move(queue), .role = roles[index]};
  if (roles[index] == Role::kStatistics) schedule_polls();
  return {};
}

std::optional<Queue> Balloon::stop(std::uint16_t index) {
  Line& line = lines_[index];
  if (line.queue && line.role == Role::kStatistics) {
    // The driver takes it for a poll, and answers when it runs again.
    if (statistics_chain_) {
      std::move(*statistics_chain_).complete();
      statistics_chain_.reset();
      line.queue->flush();
    }
    static_cast<void>(timer_.disarm());
  }
  return std::exchange(line.queue, std::nullopt);
}

void Balloon::reset() {
  active_ = false;
  actual_pages_ = 0;
  host_cmd_ = VIRTIO_BALLOON_CMD_ID_STOP;
  guest_cmd_.reset();
}

void Balloon::kick(std::uint16_t index) {
  Line& line = lines_[index];
  if (!line.queue) return;
  switch (line.role) {
    case Role::kInflate:
      return inflate(*line.queue);
    case Role::kDeflate:
      return deflate(*line.queue);
    case Role::kStatistics:
      return take_statistics(*line.queue);
    case Role::kHinting:
      return hint(*line.queue);
    case Role::kReporting:
      return report(*line.queue);
  }
}

Balloon::Line* Balloon::line_of(Role role) {
  for (Line& line : lines_) {
    if (line.queue && line.role == role) return &line;
  }
  return nullptr;
}

// The size
// ------------------------------------------------------------------------------------------------

Result<void> Balloon::check_amount(std::uint32_t amount_mib) const {
  const std::uint64_t total_mib = memory_.total_size() >> 20;
  if (amount_mib <= total_mib) return {};
  return fail(ErrorKind::kInvalid, "amount_mib is {}; it must be at most {}, the guest's memory",
              amount_mib, total_mib);
}

Result<void> Balloon::update(std::uint32_t amount_mib) {
  MOTE_CHECK(check_amount(amount_mib));
  if (!active_) return fail(ErrorKind::kState, "the guest has no driver for the balloon yet");
  config_.amount_mib = amount_mib;
  config_changed();
  return {};
}

// Statistics. The driver leaves one buffer with the device, full of them; giving it back asks for
// new ones.
// ------------------------------------------------------------------------------------------------

Result<void> Balloon::update_statistics(std::uint16_t interval_s) {
  if ((interval_s == 0) != (config_.stats_polling_interval_s == 0)) {
    return fail(ErrorKind::kInvalid,
                "stats_polling_interval_s is {}; statistics are {} since the start, which cannot "
                "be changed",
                interval_s, interval_s == 0 ? "on" : "off");
  }
  config_.stats_polling_interval_s = interval_s;
  if (line_of(Role::kStatistics) != nullptr) schedule_polls();
  return {};
}

Result<BalloonStatistics> Balloon::statistics() const {
  if (config_.stats_polling_interval_s == 0) {
    return fail(ErrorKind::kInvalid,
                "the balloon has no statistics: give it a stats_polling_interval_s");
  }
  BalloonStatistics all{statistics_};
  all.target_pages = config_.amount_mib * kPagesPerMib;
  all.actual_pages = actual_pages_;
  all.target_mib = config_.amount_mib;
  all.actual_mib = actual_pages_ / kPagesPerMib;
  return all;
}

void Balloon::schedule_polls() {
  const std::chrono::seconds period(config_.stats_polling_interval_s);
  if (auto set = timer_.set_periodic(period); !set) {
    log::error("the balloon's statistics stand still: {}", set.error().text());
  }
}

void Balloon::poll_statistics() {
  Line* line = line_of(Role::kStatistics);
  if (line == nullptr) return;
  if (!statistics_chain_) {
    ++metrics_.stats_update_fails;
    return;
  }
  std::move(*statistics_chain_).complete();
  statistics_chain_.reset();
  line->queue->flush();
}

void Balloon::take_statistics(Queue& queue) {
  serve(queue, [this](Chain chain) {
    // A driver leaves one; what came before goes back.
    if (statistics_chain_) std::move(*statistics_chain_).complete();
    read_statistics(chain);
    statistics_chain_ = std::move(chain);
  });
}

void Balloon::read_statistics(Chain& chain) {
  constexpr std::uint64_t kMost = 64;  // a guest of today tells 16
  const std::uint64_t count = chain.in().left() / sizeof(virtio_balloon_stat);
  if (count == 0 || count > kMost || chain.in().left() % sizeof(virtio_balloon_stat) != 0) {
    ++metrics_.stats_update_fails;
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = chain.in().read<virtio_balloon_stat>();
    statistics_.set(entry->tag, entry->val);
  }
  ++metrics_.stats_updates_count;
}

}  // namespace mote::virtio

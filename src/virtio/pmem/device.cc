#include "virtio/pmem/device.h"

#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>

#include <cstring>
#include <utility>

#include "virtio/queue/serve.h"

namespace mote::virtio {
namespace {

// What a flush is answered (VIRTIO 1.2, 5.19.6).
constexpr std::uint32_t kOk = 0;
constexpr std::uint32_t kFailed = 1;

Result<std::unique_ptr<Pmem>> open(const PmemConfig& config, const DeviceServices& services,
                                   const PmemState* state) {
  MOTE_CHECK(check(config));
  std::string name = fmt::format("pmem '{}'", config.id);
  auto file = storage::HostFileMemory::open(
      config.path_on_host,
      config.read_only ? storage::Access::kReadOnly : storage::Access::kReadWrite, services.loop);
  if (!file) return std::unexpected(std::move(file.error()).within(std::move(name)));
  MOTE_TRY(auto pmem, Pmem::over(std::move(name), std::move(*file), services, state));
  if (config.rate_limiter && (state == nullptr || !state->rate_limiter)) {
    MOTE_CHECK(pmem->limit(*config.rate_limiter));
  }
  return pmem;
}

}  // namespace

Pmem::Pmem(std::string name, std::unique_ptr<storage::FileMemory> file, EventLoop& loop)
    : name_(std::move(name)),
      file_(std::move(file)),
      limiter_(std::make_unique<RateLimiter>(loop, [this] {
        ++metrics_.rate_limiter_event_count;
        serve_queue();
      })) {}

Result<std::unique_ptr<Pmem>> Pmem::create(const PmemConfig& config,
                                           const DeviceServices& services) {
  return open(config, services, nullptr);
}

Result<std::unique_ptr<Pmem>> Pmem::restore(const PmemConfig& config,
                                            const DeviceServices& services,
                                            const PmemState& state) {
  return open(config, services, &state);
}

Result<std::unique_ptr<Pmem>> Pmem::over(std::string name,
                                         std::unique_ptr<storage::FileMemory> file,
                                         const DeviceServices& services, const PmemState* state) {
  std::unique_ptr<Pmem> pmem(new Pmem(std::move(name), std::move(file), services.loop));
  MOTE_CHECK_WITHIN(pmem->place(services.space, state), "{}", pmem->name_);
  if (state != nullptr && state->rate_limiter) {
    MOTE_CHECK_WITHIN(pmem->limiter_->restore(*state->rate_limiter), "{}", pmem->name_);
  }
  return pmem;
}

Result<void> Pmem::place(memory::AddressSpace& space, const PmemState* state) {
  MappedMemory mapping = file_->take_mapping();
  const bool read_only = file_->read_only();
  if (state != nullptr) {
    if (state->size != mapping.size() || state->read_only != read_only) {
      return fail(ErrorKind::kInvalid,
                  "it was saved with {} MiB{} and now has {} MiB{}: it cannot go on",
                  state->size >> 20, state->read_only ? ", read-only" : "", mapping.size() >> 20,
                  read_only ? ", read-only" : "");
    }
    // Within the same 2 MiB, what the guest writes behind the file's end would be lost.
    if (state->file_size > file_->file_size()) {
      return fail(ErrorKind::kInvalid,
                  "it was saved with a file of {} bytes and now has one of {}: it cannot go on",
                  state->file_size, file_->file_size());
    }
    range_ = {.start = state->start, .size = state->size};
    MOTE_CHECK(space.reserve_at(range_));
  } else {
    MOTE_TRY(range_, space.reserve(mapping.size(), storage::FileMemory::kAlignment));
  }
  std::byte* host = mapping.data();
  MOTE_CHECK(
      space.attach({.range = range_, .mapping = std::move(mapping), .writable = !read_only}));
  MOTE_TRY(slot_,
           space.map(range_, host, read_only ? memory::Access::kRead : memory::Access::kWrite));
  return {};
}

PmemState Pmem::save() const {
  return {.start = range_.start,
          .size = range_.size,
          .file_size = file_->file_size(),
          .read_only = file_->read_only(),
          .rate_limiter = limiter_->save()};
}

DeviceTraits Pmem::traits() const {
  return {.type = VIRTIO_ID_PMEM,
          .features = 0,
          .queue_sizes = {kQueueSize},
          .config_size = sizeof(virtio_pmem_config)};
}

void Pmem::read_config(std::uint32_t offset, std::span<std::byte> into) const {
  const virtio_pmem_config config{.start = range_.start, .size = range_.size};
  std::memcpy(into.data(), reinterpret_cast<const std::byte*>(&config) + offset, into.size());
}

Result<void> Pmem::start(std::uint16_t /*index*/, Queue queue) {
  queue_ = std::move(queue);
  return {};
}

std::optional<Queue> Pmem::stop(std::uint16_t /*index*/) {
  // What waits for a sync gets one as well.
  while (!under_way_.empty()) file_->drain();
  return std::exchange(queue_, std::nullopt);
}

void Pmem::kick(std::uint16_t /*index*/) {
  if (!queue_) return;
  ++metrics_.queue_event_count;
  serve_queue();
}

void Pmem::serve_queue() {
  if (!queue_) return;
  serving_ = true;
  serve(*queue_, [this](Chain chain) { return handle(std::move(chain)); });
  sync_waiting();
  serving_ = false;
  queue_->flush();
}

bool Pmem::handle(Chain chain) {
  if (!chain.out().keep_tail(sizeof(virtio_pmem_resp))) {
    ++metrics_.event_fails;
    std::move(chain).complete();
    return true;
  }
  const auto request = chain.in().read<virtio_pmem_req>();
  if (!request || request->type != VIRTIO_PMEM_REQ_TYPE_FLUSH) {
    ++metrics_.event_fails;
    answer(std::move(chain), kFailed);
    return true;
  }
  if (!limiter_->admit(file_->file_size())) {
    ++metrics_.rate_limiter_throttled_events;
    queue_->put_back(std::move(chain));
    return false;
  }
  ++metrics_.flush_count;
  if (file_->read_only()) {
    answer(std::move(chain), kOk);
  } else {
    waiting_.push_back(std::move(chain));
  }
  return true;
}

// One sync serves all that wait when it begins.
void Pmem::sync_waiting() {
  if (waiting_.empty() || !under_way_.empty()) return;
  under_way_ = std::exchange(waiting_, {});
  file_->sync([this](const Result<void>& result) { synced(result); });
}

void Pmem::synced(const Result<void>& result) {
  if (!result) {
    metrics_.flush_fails += under_way_.size();
    failures_.tell(log::Level::kError, name_, result.error());
  }
  for (Chain& chain : under_way_) answer(std::move(chain), result ? kOk : kFailed);
  under_way_.clear();
  sync_waiting();
  if (!serving_ && queue_) queue_->flush();
}

void Pmem::answer(Chain chain, std::uint32_t response) {
  chain.out().write_tail(std::as_bytes(std::span(&response, 1)));
  std::move(chain).complete();
}

}  // namespace mote::virtio

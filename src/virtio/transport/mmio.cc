#include "virtio/transport/mmio.h"

#include <linux/virtio_mmio.h>

#include <cstring>

namespace mote::virtio {
namespace {

constexpr std::uint32_t kMagic = 0x74726976;  // "virt"
constexpr std::uint32_t kVersion = 2;
// What Firecracker's devices say, whose guests ours are; no driver looks at it.
constexpr std::uint32_t kVendor = 0;
constexpr std::uint32_t kNoSharedMemory = UINT32_MAX;  // VIRTIO 1.2, 4.2.2: no such region

static_assert(Mmio::kNotifyOffset == VIRTIO_MMIO_QUEUE_NOTIFY);
static_assert(Mmio::kAcknowledgeOffset == VIRTIO_MMIO_INTERRUPT_ACK);

}  // namespace

Result<std::unique_ptr<Mmio>> Mmio::make(bus::Interrupt& interrupt, bool queues_elsewhere) {
  MOTE_TRY(UniqueFd acknowledge, make_eventfd());
  return std::unique_ptr<Mmio>(new Mmio(interrupt, queues_elsewhere, std::move(acknowledge)));
}

Result<std::unique_ptr<Mmio>> Mmio::create(Parts parts) {
  MOTE_TRY(auto mmio, make(*parts.interrupt, parts.device->traits().queues_elsewhere));
  MOTE_TRY(mmio->session_, Session::create(mmio->session_parts(std::move(parts))));
  return mmio;
}

Result<std::unique_ptr<Mmio>> Mmio::restore(Parts parts, const MmioState& state) {
  MOTE_TRY(auto mmio, make(*parts.interrupt, parts.device->traits().queues_elsewhere));
  MOTE_TRY(mmio->session_, Session::restore(mmio->session_parts(std::move(parts)), state.session));
  {
    MutexLock lock(mmio->interrupt_mutex_);
    mmio->interrupt_status_ = state.interrupt_status;
  }
  mmio->device_features_select_ = state.device_features_select;
  mmio->driver_features_select_ = state.driver_features_select;
  mmio->queue_select_ = state.queue_select;
  return mmio;
}

Mmio::~Mmio() = default;

Session::Parts Mmio::session_parts(Parts parts) {
  return {.name = std::move(parts.name),
          .device = parts.device,
          .memory = parts.memory,
          .interrupts = this,
          .run = std::move(parts.run)};
}

Result<MmioState> Mmio::save() const {
  MOTE_TRY(SessionState session, session_->save());
  return MmioState{.session = std::move(session),
                   .interrupt_status = pending(),
                   .device_features_select = device_features_select_,
                   .driver_features_select = driver_features_select_,
                   .queue_select = queue_select_};
}

void Mmio::queue_interrupt(std::uint16_t /*queue*/) { raise(VIRTIO_MMIO_INT_VRING); }
void Mmio::config_interrupt() { raise(VIRTIO_MMIO_INT_CONFIG); }

void Mmio::raise(std::uint32_t bits) {
  {
    MutexLock lock(interrupt_mutex_);
    take_acknowledgements();
    interrupt_status_ |= bits;
  }
  interrupt_.trigger();
}

std::uint32_t Mmio::pending() const {
  MutexLock lock(interrupt_mutex_);
  take_acknowledgements();
  return interrupt_status_;
}

void Mmio::take_acknowledgements() const {
  if (drain_eventfd(acknowledge_.get()) > 0) interrupt_status_ &= ~VIRTIO_MMIO_INT_VRING;
}

void Mmio::clear() {
  {
    MutexLock lock(interrupt_mutex_);
    drain_eventfd(acknowledge_.get());
    interrupt_status_ = 0;
  }
  device_features_select_ = driver_features_select_ = queue_select_ = 0;
}

void Mmio::read(std::uint64_t offset, std::span<std::byte> data) {
  if (offset >= VIRTIO_MMIO_CONFIG) {
    if (session_->read_config(offset - VIRTIO_MMIO_CONFIG, data)) return;
  } else if (data.size() == sizeof(std::uint32_t) && offset % sizeof(std::uint32_t) == 0) {
    if (const auto value = read_register(offset)) {
      std::memcpy(data.data(), &*value, sizeof *value);
      return;
    }
    session_->count_bad_access();
  } else {
    session_->count_bad_access();
  }
  std::memset(data.data(), 0xff, data.size());
}

std::optional<std::uint32_t> Mmio::read_register(std::uint64_t offset) {
  switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
      return kMagic;
    case VIRTIO_MMIO_VERSION:
      return kVersion;
    case VIRTIO_MMIO_DEVICE_ID:
      return session_->device_type();
    case VIRTIO_MMIO_VENDOR_ID:
      return kVendor;
    case VIRTIO_MMIO_DEVICE_FEATURES:
      return session_->device_features(device_features_select_);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
      return session_->queue_max_size(queue_select_);
    case VIRTIO_MMIO_QUEUE_READY:
      return session_->queue_ready(queue_select_) ? 1 : 0;
    case VIRTIO_MMIO_INTERRUPT_STATUS:
      return pending() | (queues_elsewhere_ ? VIRTIO_MMIO_INT_VRING : 0);
    case VIRTIO_MMIO_STATUS:
      return session_->status();
    case VIRTIO_MMIO_SHM_LEN_LOW:
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
      return kNoSharedMemory;
    case VIRTIO_MMIO_CONFIG_GENERATION:
      return session_->config_generation();
    default:
      return std::nullopt;
  }
}

void Mmio::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset >= VIRTIO_MMIO_CONFIG) {
    session_->write_config(offset - VIRTIO_MMIO_CONFIG, data);
    return;
  }
  if (data.size() != sizeof(std::uint32_t) || offset % sizeof(std::uint32_t) != 0) {
    session_->count_bad_access();
    return;
  }
  std::uint32_t value = 0;
  std::memcpy(&value, data.data(), sizeof value);
  write_register(offset, value);
}

void Mmio::write_register(std::uint64_t offset, std::uint32_t value) {
  switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
      device_features_select_ = value;
      break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
      session_->set_driver_features(driver_features_select_, value);
      break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
      driver_features_select_ = value;
      break;
    case VIRTIO_MMIO_QUEUE_SEL:
      queue_select_ = value;
      break;
    case VIRTIO_MMIO_QUEUE_NUM:
      session_->set_queue_size(queue_select_, value);
      break;
    case VIRTIO_MMIO_QUEUE_READY:
      session_->set_queue_ready(queue_select_, value);
      break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
      session_->notify(value);
      break;
    case VIRTIO_MMIO_INTERRUPT_ACK: {
      MutexLock lock(interrupt_mutex_);
      interrupt_status_ &= ~value;
      break;
    }
    case VIRTIO_MMIO_STATUS:
      session_->write_status(value);
      break;
    case VIRTIO_MMIO_SHM_SEL:
      break;  // whichever is selected, there is none
    default:
      write_address(offset, value);
  }
}

void Mmio::write_address(std::uint64_t offset, std::uint32_t value) {
  const auto set = [&](QueueArea area, AddressHalf half) {
    session_->set_queue_address(queue_select_, area, half, value);
  };
  switch (offset) {
    case VIRTIO_MMIO_QUEUE_DESC_LOW:
      return set(QueueArea::kDescriptors, AddressHalf::kLow);
    case VIRTIO_MMIO_QUEUE_DESC_HIGH:
      return set(QueueArea::kDescriptors, AddressHalf::kHigh);
    case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
      return set(QueueArea::kDriver, AddressHalf::kLow);
    case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
      return set(QueueArea::kDriver, AddressHalf::kHigh);
    case VIRTIO_MMIO_QUEUE_USED_LOW:
      return set(QueueArea::kDevice, AddressHalf::kLow);
    case VIRTIO_MMIO_QUEUE_USED_HIGH:
      return set(QueueArea::kDevice, AddressHalf::kHigh);
    default:
      session_->count_bad_access();
  }
}

}  // namespace mote::virtio

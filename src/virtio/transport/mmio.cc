#include "virtio/transport/mmio.h"

#include <linux/virtio_mmio.h>

#include <algorithm>
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

Mmio::Mmio(const Parts& parts)
    : interrupt_(*parts.interrupt),
      always_(parts.device->traits().queues_elsewhere ? VIRTIO_MMIO_INT_VRING : 0),
      page_(parts.page) {
  page_.at(VIRTIO_MMIO_MAGIC_VALUE) = kMagic;
  page_.at(VIRTIO_MMIO_VERSION) = kVersion;
  page_.at(VIRTIO_MMIO_VENDOR_ID) = kVendor;
  for (const int shared_memory : {VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH,
                                  VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_BASE_HIGH}) {
    page_.at(static_cast<std::uint64_t>(shared_memory)) = kNoSharedMemory;
  }
  interrupt_status() = always_;
}

Result<std::unique_ptr<Mmio>> Mmio::make(const Parts& parts) {
  const std::uint32_t config_size = parts.device->traits().config_size;
  if (config_size > kSize - VIRTIO_MMIO_CONFIG) {
    return fail(ErrorKind::kUnsupported, "{} has {} bytes of configuration space, more than a page",
                parts.name, config_size);
  }
  return std::unique_ptr<Mmio>(new Mmio(parts));
}

Result<std::unique_ptr<Mmio>> Mmio::create(Parts parts) {
  MOTE_TRY(auto mmio, make(parts));
  MOTE_TRY(mmio->session_, Session::create(mmio->session_parts(std::move(parts))));
  mmio->show();
  return mmio;
}

Result<std::unique_ptr<Mmio>> Mmio::restore(Parts parts, const MmioState& state) {
  MOTE_TRY(auto mmio, make(parts));
  MOTE_TRY(mmio->session_, Session::restore(mmio->session_parts(std::move(parts)), state.session));
  mmio->interrupt_status() = state.interrupt_status | mmio->always_;
  mmio->device_features_select_ = state.device_features_select;
  mmio->driver_features_select_ = state.driver_features_select;
  mmio->queue_select_ = state.queue_select;
  mmio->show();
  return mmio;
}

Mmio::~Mmio() = default;

Session::Parts Mmio::session_parts(Parts parts) {
  return {.name = std::move(parts.name),
          .device = parts.device,
          .memory = parts.memory,
          .interrupts = this,
          .run = std::move(parts.run),
          .run_here = std::move(parts.run_here),
          .route_kicks = std::move(parts.route_kicks)};
}

Result<MmioState> Mmio::save() const {
  MOTE_TRY(SessionState session, session_->save());
  return MmioState{.session = std::move(session),
                   .interrupt_status = interrupt_status() & ~always_,
                   .device_features_select = device_features_select_,
                   .driver_features_select = driver_features_select_,
                   .queue_select = queue_select_};
}

void Mmio::show() {
  MutexLock lock(show_mutex_);
  page_.at(VIRTIO_MMIO_DEVICE_ID) = session_->device_type();
  page_.at(VIRTIO_MMIO_DEVICE_FEATURES) = session_->device_features(device_features_select_);
  page_.at(VIRTIO_MMIO_QUEUE_NUM_MAX) = session_->queue_max_size(queue_select_);
  page_.at(VIRTIO_MMIO_QUEUE_READY) = session_->queue_ready(queue_select_) ? 1 : 0;
  page_.at(VIRTIO_MMIO_STATUS) = session_->status();
  if (const std::size_t size = session_->config_size(); size > 0) {
    session_->read_config(0, page_.bytes(VIRTIO_MMIO_CONFIG, size));
  }
  // Behind what it is the generation of.
  page_.at(VIRTIO_MMIO_CONFIG_GENERATION) = session_->config_generation();
}

std::atomic_ref<std::uint32_t> Mmio::interrupt_status() const {
  return page_.at(VIRTIO_MMIO_INTERRUPT_STATUS);
}

// The cause is in the page before the driver is interrupted and looks for it; the used ring is
// before both.
void Mmio::note_used() {
  if ((interrupt_status() & VIRTIO_MMIO_INT_VRING) == 0) {
    interrupt_status() |= VIRTIO_MMIO_INT_VRING;
  }
  ++interrupts_;
}

void Mmio::queue_interrupt(std::uint16_t /*queue*/) {
  note_used();
  interrupt_.trigger();
}

void Mmio::queue_interrupt_here(std::uint16_t /*queue*/) {
  note_used();
  interrupt_.trigger_here();
}

void Mmio::config_interrupt() {
  interrupt_status() |= VIRTIO_MMIO_INT_CONFIG;
  ++interrupts_;
  interrupt_.trigger();
}

void Mmio::clear() {
  interrupt_status() = always_;
  device_features_select_ = driver_features_select_ = queue_select_ = 0;
}

void Mmio::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0xff});
  if (offset >= kSize || data.size() > kSize - offset) return;
  MutexLock lock(show_mutex_);
  std::ranges::copy(page_.bytes(offset, data.size()), data.begin());
}

void Mmio::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset >= VIRTIO_MMIO_CONFIG) {
    session_->write_config(offset - VIRTIO_MMIO_CONFIG, data);
    show();
    return;
  }
  if (data.size() != sizeof(std::uint32_t) || offset % sizeof(std::uint32_t) != 0) {
    session_->count_bad_access();
    return;
  }
  std::uint32_t value = 0;
  std::memcpy(&value, data.data(), sizeof value);
  write_register(offset, value);
  // What can be read changes by what is selected and by the status, not by what a driver does all
  // the time.
  if (offset != VIRTIO_MMIO_QUEUE_NOTIFY && offset != VIRTIO_MMIO_INTERRUPT_ACK) show();
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
    case VIRTIO_MMIO_INTERRUPT_ACK:
      interrupt_status() &= ~(value & VIRTIO_MMIO_INT_CONFIG);
      break;
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

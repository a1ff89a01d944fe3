#include "virtio/transport/session.h"

#include <linux/virtio_config.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "virtio/transport/status.h"

namespace mote::virtio {

// Registers, from any thread. What the machine thread does is in session_life.cc.

std::uint32_t Session::device_features(std::uint32_t word) const {
  return word < 2 ? static_cast<std::uint32_t>(offered_ >> (32 * word)) : 0;
}

bool Session::refuse() {
  ++metrics_.refused_writes;
  return false;
}

bool Session::set_driver_features(std::uint32_t word, std::uint32_t value) {
  MutexLock lock(mutex_);
  constexpr std::uint8_t kChoosing = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
  if (status_ != kChoosing) return refuse();
  if (word > 1) {
    // Drivers clear the words that they do not know.
    stray_features_ = stray_features_ || value != 0;
    return true;
  }
  const unsigned shift = 32 * word;
  driver_features_ =
      (driver_features_ & ~(std::uint64_t{UINT32_MAX} << shift)) | std::uint64_t{value} << shift;
  return true;
}

std::uint8_t Session::status() const {
  MutexLock lock(mutex_);
  return status_;
}

bool Session::accept_features() {
  const bool modern = (driver_features_ >> VIRTIO_F_VERSION_1 & 1) != 0;
  if ((driver_features_ & ~offered_) != 0 || stray_features_ || !modern) return refuse();
  status_ |= VIRTIO_CONFIG_S_FEATURES_OK;
  return true;
}

bool Session::write_status(std::uint32_t value) {
  bool start = false;
  {
    MutexLock lock(mutex_);
    switch (status_step(status_, value)) {
      case StatusStep::kNone:
        return true;
      case StatusStep::kRefused:
        return refuse();
      case StatusStep::kSet:
        status_ = static_cast<std::uint8_t>(value | (status_ & VIRTIO_CONFIG_S_NEEDS_RESET));
        return true;
      case StatusStep::kFeatures:
        return accept_features();
      case StatusStep::kStart:
        start = true;
        break;
      case StatusStep::kReset:
        if ((status_ & VIRTIO_CONFIG_S_DRIVER_OK) == 0) {
          // The device was never started: nothing but registers to reset.
          clear_registers();
          parts_.interrupts->clear();
          return true;
        }
        break;
    }
  }
  bool done = true;
  parts_.run([&] {
    thread_.assert_held();
    if (start) {
      done = start_by_driver();
    } else {
      reset_by_driver();
    }
  });
  return done;
}

void Session::clear_registers() {
  status_ = 0;
  driver_features_ = 0;
  stray_features_ = false;
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    queues_[i] = QueueSetup{.addresses = {.size = traits_.queue_sizes[i]}};
  }
}

std::uint32_t Session::queue_max_size(std::uint32_t queue) const {
  return queue < queue_count() ? traits_.queue_sizes[queue] : 0;
}

Session::QueueSetup* Session::queue_in_setup(std::uint32_t queue) {
  constexpr std::uint8_t kSettingUp =
      VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
  return queue < queues_.size() && status_ == kSettingUp ? &queues_[queue] : nullptr;
}

bool Session::set_queue_size(std::uint32_t queue, std::uint32_t size) {
  MutexLock lock(mutex_);
  QueueSetup* setup = queue_in_setup(queue);
  if (setup == nullptr || setup->ready) return refuse();
  setup->addresses.size = size;
  return true;
}

bool Session::set_queue_address(std::uint32_t queue, QueueArea area, AddressHalf half,
                                std::uint32_t value) {
  MutexLock lock(mutex_);
  QueueSetup* setup = queue_in_setup(queue);
  if (setup == nullptr || setup->ready) return refuse();
  QueueAddresses& addresses = setup->addresses;
  std::uint64_t& address = area == QueueArea::kDescriptors ? addresses.descriptors
                           : area == QueueArea::kDriver    ? addresses.driver
                                                           : addresses.device;
  if (half == AddressHalf::kLow) {
    address = (address & ~std::uint64_t{UINT32_MAX}) | value;
  } else {
    address = (address & UINT32_MAX) | std::uint64_t{value} << 32;
  }
  return true;
}

bool Session::set_queue_ready(std::uint32_t queue, std::uint32_t value) {
  {
    MutexLock lock(mutex_);
    if (queue >= queues_.size() || value > 1) return refuse();
    if (QueueSetup* setup = queue_in_setup(queue); setup != nullptr) {
      setup->ready = value == 1;
      return true;
    }
    if (queues_[queue].ready == (value == 1)) return true;
    if (value == 1) return refuse();
  }
  bool done = false;
  parts_.run([&] {
    thread_.assert_held();
    done = stop_one(static_cast<std::uint16_t>(queue));
  });
  return done;
}

bool Session::queue_ready(std::uint32_t queue) const {
  MutexLock lock(mutex_);
  return queue < queues_.size() && queues_[queue].ready;
}

bool Session::notify(std::uint32_t queue) {
  if (queue >= queue_count()) {
    MutexLock lock(mutex_);
    return refuse();
  }
  const auto here = [this, index = static_cast<std::uint16_t>(queue)] {
    thread_.assert_held();
    return kick_here(index);
  };
  if (parts_.run_here && parts_.run_here(here)) return true;
  signal_eventfd(notify_[queue].get());
  return true;
}

bool Session::read_config(std::uint64_t offset, std::span<std::byte> into) {
  MutexLock lock(mutex_);
  if (offset > config_.size() || into.size() > config_.size() - offset) {
    ++metrics_.cfg_fails;
    return false;
  }
  std::memcpy(into.data(), config_.data() + offset, into.size());
  return true;
}

bool Session::write_config(std::uint64_t offset, std::span<const std::byte> from) {
  bool written = false;
  if (offset <= traits_.config_size && from.size() <= traits_.config_size - offset) {
    parts_.run([&] {
      thread_.assert_held();
      written = parts_.device->write_config(static_cast<std::uint32_t>(offset), from);
      if (written) copy_config();
    });
  }
  if (!written) count_bad_access();
  return written;
}

std::uint32_t Session::config_generation() const {
  MutexLock lock(mutex_);
  return generation_;
}

}  // namespace mote::virtio

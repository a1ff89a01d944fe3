#include "kvm/posted_writes.h"

#include <algorithm>

#include "kvm/ioctl.h"

namespace mote::kvm {
namespace {

constexpr std::size_t kPage = 4096;
// As KVM_COALESCED_MMIO_MAX counts them, in C's sizes.
constexpr std::size_t kHead = 2 * sizeof(std::uint32_t);
constexpr std::uint32_t kEntries = (kPage - kHead) / sizeof(kvm_coalesced_mmio);

kvm_coalesced_mmio_zone zone_of(std::uint16_t port) {
  kvm_coalesced_mmio_zone zone{};
  zone.addr = port;
  zone.size = 1;
  zone.pio = 1;
  return zone;
}

}  // namespace

void PostedRing::use(std::span<std::byte> page) {
  const MutexLock lock(mutex_);
  ring_.store(
      page.size() < kPage ? nullptr : reinterpret_cast<kvm_coalesced_mmio_ring*>(page.data()),
      std::memory_order_release);
}

void PostedRing::deliver_locked() {
  const MutexLock lock(mutex_);
  kvm_coalesced_mmio_ring* ring = ring_.load(std::memory_order_relaxed);
  if (ring == nullptr) return;
  const auto* entries =
      reinterpret_cast<const kvm_coalesced_mmio*>(reinterpret_cast<const std::byte*>(ring) + kHead);
  const std::uint32_t last = std::atomic_ref(ring->last).load(std::memory_order_acquire) % kEntries;
  std::uint32_t first = std::atomic_ref(ring->first).load(std::memory_order_relaxed) % kEntries;
  while (first != last) {
    const kvm_coalesced_mmio entry = entries[first];
    const auto data = std::as_bytes(std::span(entry.data));
    sink_(static_cast<std::uint16_t>(entry.phys_addr),
          data.first(std::min<std::size_t>(entry.len, data.size())));
    first = (first + 1) % kEntries;
    // After the sink: whoever sees the ring empty knows that all is done.
    std::atomic_ref(ring->first).store(first, std::memory_order_release);
  }
}

Result<void> PostedWrites::begin(std::uint16_t port) {
  // What KVM_CHECK_EXTENSION says is the ring's page in a vCPU's mapping.
  const auto page = static_cast<std::size_t>(vm_.check(KVM_CAP_COALESCED_MMIO));
  if (page == 0 || vm_.check(KVM_CAP_COALESCED_PIO) == 0 || vcpu_ == nullptr) {
    return fail(ErrorKind::kUnsupported, "this host's KVM posts no writes to ports");
  }
  ring_.use(vcpu_->shared_bytes(page * kPage, kPage));
  const kvm_coalesced_mmio_zone zone = zone_of(port);
  MOTE_CHECK(MOTE_IOCTL(vm_.fd(), KVM_REGISTER_COALESCED_MMIO, &zone));
  return {};
}

void PostedWrites::end(std::uint16_t port) {
  const kvm_coalesced_mmio_zone zone = zone_of(port);
  // It does not fail: a zone that is not there is none to remove.
  ::ioctl(vm_.fd(), KVM_UNREGISTER_COALESCED_MMIO, &zone);
  ring_.deliver();
}

void PostedWrites::close() {
  ring_.deliver();
  ring_.use({});
  vcpu_ = nullptr;
}

}  // namespace mote::kvm

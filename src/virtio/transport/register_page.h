// RegisterPage is what a guest reads of a virtio-mmio window: a page of host memory that it has
// there for reading alone, so that its reads take no exit, and its writes do. An interrupt makes a
// driver read a register, and finding a device makes it read some thirty.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace mote::virtio {

class RegisterPage {
 public:
  static constexpr std::size_t kSize = 4096;

  // `memory` is kSize bytes, aligned to them, and outlives this; null: memory of its own, which no
  // guest has. Where nothing is put, it reads as ones.
  explicit RegisterPage(std::byte* memory) {
    if (memory == nullptr) own_ = std::make_unique<Page>();
    memory_ = memory != nullptr ? memory : own_->bytes.data();
    std::memset(memory_, 0xff, kSize);
  }
  RegisterPage(const RegisterPage&) = delete;
  RegisterPage& operator=(const RegisterPage&) = delete;

  // The register at `offset`, a multiple of 4 below kSize. The guest may read it at any time, and
  // sees what was stored to any register in the order of the stores.
  std::atomic_ref<std::uint32_t> at(std::uint64_t offset) const {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(memory_ + offset));
  }
  // Configuration space and the like: `size` bytes at `offset`, inside the page. The guest may read
  // them while they change.
  std::span<std::byte> bytes(std::uint64_t offset, std::size_t size) const {
    return {memory_ + offset, size};
  }

 private:
  struct alignas(kSize) Page {
    std::array<std::byte, kSize> bytes;
  };

  std::unique_ptr<Page> own_;
  std::byte* memory_ = nullptr;
};

}  // namespace mote::virtio

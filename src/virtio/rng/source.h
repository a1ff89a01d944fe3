// Where the entropy device has its bytes from.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace mote::virtio {

class EntropySource {
 public:
  virtual ~EntropySource() = default;
  // Fills all of `into` with random bytes, without waiting for any. An error: `into` means nothing.
  virtual Result<void> fill(std::span<std::byte> into) = 0;
};

// The kernel's, getrandom(2).
class HostEntropy final : public EntropySource {
 public:
  Result<void> fill(std::span<std::byte> into) override;
};

}  // namespace mote::virtio

// Control answers the driver's commands (VIRTIO 1.2, 5.1.6.5): how many pairs of queues it uses.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "virtio/net/metrics.h"
#include "virtio/queue/queue.h"

namespace mote::virtio {

class Control {
 public:
  // Makes the device use the first `pairs` pairs of queues; false: it cannot.
  using UsePairs = std::function<bool(std::uint16_t pairs)>;

  Control(NetMetrics& metrics, UsePairs use_pairs)
      : metrics_(metrics), use_pairs_(std::move(use_pairs)) {}

  void start(Queue queue) { queue_ = std::move(queue); }
  std::optional<Queue> stop() { return std::exchange(queue_, std::nullopt); }
  void kick();

 private:
  void handle(Chain chain);
  bool obey(ChainReader& command);

  NetMetrics& metrics_;
  UsePairs use_pairs_;
  std::optional<Queue> queue_;
};

}  // namespace mote::virtio

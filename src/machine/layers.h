// Drives of layers and snapshots: what was written up to a snapshot becomes a layer that nobody
// changes any more, on which the machine that goes on and every clone have one of their own.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "machine/config.h"
#include "virtio/block/device.h"

namespace mote::machine {

// Seals what the drives of `live` have written, which is a paused machine's configuration and is
// kept as they are then; `find` gives a drive's device. The configuration for the state: such a
// drive's `path_on_host` is the layer that was sealed last, or the image where none was, and
// `layers` is what that lies on. Where this fails, drives that were sealed before go on all the
// same.
Result<VmConfig> seal_layers(VmConfig& live,
                             const std::function<virtio::Block*(std::string_view id)>& find);

// Layers that were made for a machine that is about to be, and go again unless it is.
class NewLayers {
 public:
  // Makes the layer of each drive of `config` that has none yet at its path. One that is there must
  // hold nothing, and lie on what it is to lie on. Errors name the drive.
  static Result<NewLayers> make(const VmConfig& config);
  NewLayers(NewLayers&& other) noexcept : made_(std::exchange(other.made_, {})) {}
  NewLayers& operator=(NewLayers&&) = delete;
  ~NewLayers();
  void keep() { made_.clear(); }

 private:
  NewLayers() = default;
  std::vector<std::string> made_;
};

}  // namespace mote::machine

// What `mote layer` does with the layers of disks: no microVM is needed for it, and none may have
// them open to write meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace mote::engine {

// Makes a layer at `path`, where nothing is, on `below`: a raw image and sealed layers, lowest
// first. `size` in bytes, 0: as large as that; `cluster` in bytes, 0: what suits the size.
Result<void> create_layer(const std::string& path, const std::vector<std::string>& below,
                          std::uint64_t size, std::uint64_t cluster);

// What the layer at `path` says of itself, as lines or as JSON.
Result<std::string> layer_info(const std::string& path, bool json);

// Reads all of a layer's map; where `below` is given, whether it lies on that. A line a finding;
// none: it is whole. Errors: it is no layer.
Result<std::vector<std::string>> check_layer(const std::string& path,
                                             const std::vector<std::string>& below);

// Writes what `layers` are together, lowest first, as an image that is the disk's bytes; its zeros
// are holes. It is at `path` when it is whole, or what was there before stays.
Result<void> commit_layers(const std::string& path, const std::vector<std::string>& layers);

}  // namespace mote::engine

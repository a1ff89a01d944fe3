// Modules of the log: what `module` and --module choose lines by.
//
// A module is a source file by its place: src/virtio/block/requests.cc is virtio::block::requests.
// It has a second name, after the place where Firecracker has the like, so that what its users
// filter by finds what it found there: vmm::devices::virtio::block::requests.
#pragma once

#include <string_view>

namespace mote::log {

// `file` from the source tree's top on: src/virtio/block/requests.cc. A path that has no src/ is
// itself.
std::string_view in_source_tree(std::string_view file);

// Whether the module of `file` has a name that begins with `prefix`, whose parts are separated by
// "::" or "/".
bool module_begins_with(std::string_view file, std::string_view prefix);

}  // namespace mote::log

// Opens an image and what it is laid over.
#pragma once

#include <memory>
#include <string>

#include "storage/qcow2/disk.h"

namespace mote::storage::qcow2 {

struct OpenedImage {
  std::unique_ptr<Image> image;
  std::string identity;  // of the topmost file
};

// As Qcow2Disk::open().
Result<OpenedImage> open_chain(const std::string& path, const Options& options);

}  // namespace mote::storage::qcow2

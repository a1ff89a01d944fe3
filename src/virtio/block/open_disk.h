// The disk that a drive's configuration asks for.
#pragma once

#include <memory>

#include "base/event_loop.h"
#include "base/result.h"
#include "storage/disk.h"
#include "storage/raw_disk.h"
#include "virtio/block/config.h"

namespace mote::virtio {

// Opens it; `config` is checked. Errors name the drive.
// `ring`: as storage::RawOptions has it.
Result<std::unique_ptr<storage::Disk>> open_disk(
    const BlockConfig& config, EventLoop& loop, std::shared_ptr<storage::DiskRing>* ring = nullptr);

}  // namespace mote::virtio

// Makes the raw disk that a configuration asks for, of the parts that there are.
#pragma once

#include <memory>
#include <string>

#include "base/event_loop.h"
#include "storage/disk.h"
#include "storage/raw_file.h"

namespace mote::storage {

// How requests reach the host: one system call after the other, or by io_uring.
enum class Engine { kSync, kUring };

class DiskRing;

struct RawOptions {
  Access access = Access::kReadWrite;
  Cache cache = Cache::kBuffered;
  Engine engine = Engine::kSync;
  // Of kUring: where disks that follow each other keep their ring; made for the first. Null: the
  // disk has a ring of its own.
  std::shared_ptr<DiskRing>* ring = nullptr;
};

// Errors: as RawFile::open() and Uring::create().
Result<std::unique_ptr<Disk>> open_raw_disk(const std::string& path, const RawOptions& options,
                                            EventLoop& loop);

}  // namespace mote::storage

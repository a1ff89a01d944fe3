#include "storage/file_memory.h"

#include <sys/mman.h>

#include <utility>

#include "storage/sync_engine.h"

namespace mote::storage {
namespace {

// The file, and private pages behind it up to a multiple of the alignment.
Result<MappedMemory> map_file(int fd, std::uint64_t size, Access access) {
  constexpr std::uint64_t kAlignment = FileMemory::kAlignment;
  if (size > UINT64_MAX - kAlignment) {
    return fail(ErrorKind::kResource, "{} bytes are more than an address space holds", size);
  }
  const std::uint64_t whole = (size + kAlignment - 1) / kAlignment * kAlignment;
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  MOTE_TRY(MappedMemory mapping,
           MappedMemory::map_aligned(whole, kAlignment, protection,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  if (::mmap(mapping.data(), size, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
    return fail_errno(errno, "map {} bytes", size);
  }
  ::madvise(mapping.data(), mapping.size(), MADV_DONTDUMP);
  return mapping;
}

}  // namespace

Result<std::unique_ptr<HostFileMemory>> HostFileMemory::open(const std::string& path, Access access,
                                                             EventLoop& loop) {
  MOTE_TRY(DiskFile file, open_disk_file(path, access));
  MOTE_TRY(const std::uint64_t size, disk_file_size(path, file.fd.get()));
  if (size == 0) {
    return fail(ErrorKind::kInvalid, "'{}' is empty; memory needs at least one byte", path);
  }
  auto mapping = map_file(file.fd.get(), size, access);
  if (!mapping) {
    return std::unexpected(std::move(mapping.error()).within(fmt::format("'{}'", path)));
  }
  std::unique_ptr<HostFileMemory> made(
      new HostFileMemory(std::move(file.fd), access, size, std::move(*mapping), loop));
  // While threads may still be started. Without one, a flush is done where it is asked for.
  if (access == Access::kReadWrite) {
    if (auto worker = Worker::start(ThreadKind::kWorker)) made->worker_ = std::move(*worker);
  }
  return made;
}

void HostFileMemory::sync(Done done) {
  done_ = std::move(done);
  const std::uint64_t number = ++number_;
  if (worker_) return worker_->run([this, number] { run(number); });
  run(number);
}

void HostFileMemory::run(std::uint64_t number) {
  Result<void> result = sync_data(fd_.get());
  {
    MutexLock lock(mutex_);
    result_ = std::move(result);
  }
  loop_.post([this, number, alive = std::weak_ptr<void>(alive_)] {
    if (!alive.expired()) finish(number);
  });
}

void HostFileMemory::finish(std::uint64_t number) {
  if (!done_ || number != number_) return;
  Result<void> result;
  {
    MutexLock lock(mutex_);
    result = std::move(result_);
  }
  std::exchange(done_, nullptr)(std::move(result));
}

void HostFileMemory::drain() {
  while (done_) {
    if (worker_) worker_->wait();
    finish(number_);
  }
}

}  // namespace mote::storage

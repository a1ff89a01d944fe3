// A file as memory that syncs at once or when it is told, and fails on demand.
#pragma once

#include <sys/mman.h>

#include <stdexcept>

#include "storage/file_memory.h"

namespace mote::virtio::test {

class FakeFile final : public storage::FileMemory {
 public:
  explicit FakeFile(std::uint64_t pieces = 1, bool protect = false)
      : size_(pieces * kAlignment), protect_(protect) {}

  MappedMemory take_mapping() override {
    auto mapping =
        MappedMemory::map_aligned(size_, kAlignment, protect_ ? PROT_READ : PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
    if (!mapping) throw std::runtime_error(mapping.error().text());
    return std::move(*mapping);
  }
  std::uint64_t file_size() const override { return size_ - 1000; }
  bool read_only() const override { return protect_; }
  void sync(Done done) override {
    ++syncs;
    done_ = std::move(done);
    if (!defer) complete();
  }
  void drain() override {
    while (done_) complete();
  }

  // The sync that is under way is done.
  void complete() {
    if (!done_) return;
    Result<void> result;
    if (std::exchange(fail_next, false)) result = fail(ErrorKind::kIo, "the fake file fails");
    std::exchange(done_, nullptr)(std::move(result));
  }
  bool under_way() const { return static_cast<bool>(done_); }

  int syncs = 0;
  bool defer = false;
  bool fail_next = false;

 private:
  std::uint64_t size_;
  bool protect_;
  Done done_;
};

}  // namespace mote::virtio::test

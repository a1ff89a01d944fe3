// A disk in memory that remembers its requests, fails on demand, and completes at once or when
// told.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/disk.h"

namespace mote::virtio::test {

class FakeDisk final : public storage::Disk {
 public:
  explicit FakeDisk(std::uint64_t sectors) : content(sectors * storage::kSectorSize, '.') {}

  std::uint64_t size() const override { return content.size(); }
  bool read_only() const override { return protect; }
  std::string identity() const override { return id; }
  const storage::DiskTraits& traits() const override { return facts; }
  Result<void> refresh() override {
    if (fail_next) return fail(ErrorKind::kIo, "the fake disk fails");
    content.resize(grow_to.value_or(content.size()), '.');
    return {};
  }
  void commit() override { ++commits; }
  void drain() override {
    ++drains;
    while (!waiting.empty()) complete_one();
  }

  // Does the oldest request that waits.
  void complete_one() {
    Waiting next = std::move(waiting.front());
    waiting.pop_front();
    Result<void> result;
    if (std::exchange(fail_next, false) || failing) {
      result = fail(ErrorKind::kIo, "the fake disk fails at {}", next.request.offset);
    } else {
      act(next.request);
    }
    next.done(std::move(next.request), std::move(result));
  }

  std::string content;
  std::string id = "12345";
  storage::DiskTraits facts{.can_discard = true};
  std::optional<std::size_t> grow_to;  // bytes after the next refresh()
  int commits = 0;
  bool protect = false;
  bool fail_next = false;
  bool failing = false;
  bool defer = false;    // requests wait for complete_one() or drain()
  bool at_hand = false;  // what is read at once
  int drains = 0;
  std::vector<storage::Op> log;
  struct Waiting {
    storage::DiskRequest request;
    Done done;
  };
  std::deque<Waiting> waiting;

 protected:
  void start(storage::DiskRequest request, std::uint64_t /*length*/, Done done) override {
    log.push_back(request.op);
    waiting.push_back({std::move(request), std::move(done)});
    if (!defer) complete_one();
  }

  bool try_read(storage::DiskRequest& request, std::uint64_t /*length*/) override {
    if (at_hand) act(request);
    return at_hand;
  }

 private:
  void act(const storage::DiskRequest& request) {
    if (request.op == storage::Op::kWriteZeroes) {
      content.replace(request.offset, request.length, request.length, '\0');
    } else if (request.op == storage::Op::kDiscard) {
      content.replace(request.offset, request.length, request.length, 'd');
    }
    std::uint64_t at = request.offset;
    for (const iovec& buffer : request.buffers) {
      if (request.op == storage::Op::kRead) {
        std::memcpy(buffer.iov_base, content.data() + at, buffer.iov_len);
      } else {
        std::memcpy(content.data() + at, buffer.iov_base, buffer.iov_len);
      }
      at += buffer.iov_len;
    }
  }
};

}  // namespace mote::virtio::test

// Fills a file with another's content.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/mapped_memory.h"
#include "base/unique_fd.h"
#include "base/worker.h"

namespace mote::isolation::jail {

// Has `to`, an empty file, share the blocks of `from`, which takes no time. False: their filesystem
// cannot, or they have two.
bool share_blocks(const UniqueFd& from, const UniqueFd& to);

// Copies a file by another thread than the one that wants it.
class Copier {
 public:
  Copier() = default;
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;
  ~Copier() { end(); }

  // Starts the thread, which is there then when begin() has something for it. Where the host has
  // none, finish() copies.
  void prepare();
  // Begins to copy the first `size` bytes of `from` into `to`, an empty file. Once.
  void begin(UniqueFd from, UniqueFd to, std::uint64_t size);
  // Waits until the copy is made, if one was begun. It is closed then, so that it can be executed;
  // all that the thread still does is end. Errors: `from` is shorter; no room; what cannot be read
  // or written.
  const Result<void>& finish();
  // Waits for the end of the thread.
  void end();

 private:
  enum class State {
    kNone,    // nothing to copy yet
    kAsleep,  // likewise, and the thread does not look for it any more
    kBegun,
    kDone,  // or never to be begun
  };

  void wait_for_work();
  void copy();
  Result<void> copy_all();

  UniqueFd from_;
  UniqueFd to_;
  std::uint64_t size_ = 0;
  bool begun_ = false;  // the maker's
  MappedMemory piece_;  // what is between reading and writing
  Result<void> result_;
  std::atomic<State> state_ = State::kNone;
  std::unique_ptr<Worker> worker_;
};

}  // namespace mote::isolation::jail

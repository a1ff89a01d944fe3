// Memory that the host keeps for as long as an object of this lives: it would not have it back by
// madvise().
#pragma once

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

namespace mote::test {

class LockedPages {
 public:
  // Under sanitizers mlock() does nothing.
  LockedPages(const void* start, std::size_t size) : start_(start), size_(size) {
    EXPECT_EQ(::syscall(SYS_mlock, start_, size_), 0);
  }
  LockedPages(const LockedPages&) = delete;
  LockedPages& operator=(const LockedPages&) = delete;
  ~LockedPages() { ::syscall(SYS_munlock, start_, size_); }

 private:
  const void* start_;
  std::size_t size_;
};

}  // namespace mote::test

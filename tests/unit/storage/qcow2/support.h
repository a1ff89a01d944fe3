// Images to test with: made by hand here, or by qemu-img where that is installed.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "storage/disk.h"
#include "storage/qcow2/disk.h"

namespace mote::storage::qcow2::test {

// A directory that goes away with the object.
class Place {
 public:
  Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Shape {
  std::uint64_t size = 16 << 20;
  unsigned version = 3;
  unsigned cluster_bits = 16;
  unsigned refcount_order = 4;
};

// The bytes of an image that holds nothing.
std::string empty_image(const Shape& shape);

void write_file(const std::string& path, const std::string& bytes);
std::string read_file(const std::string& path);

// Whether qemu-img and qemu-io are installed; tests that compare with them are skipped otherwise.
bool have_qemu();
// Runs a command of the shell; its status, and what it printed.
struct Outcome {
  int status = 0;
  std::string output;
};
Outcome run(const std::string& command);
// The same, for a command that is expected to work.
void must_run(const std::string& command);

// What `qemu-img check` finds: leaks are what a crash may leave, errors are not.
struct Findings {
  bool errors = false;
  bool leaks = false;
  std::string output;
};
Findings check(const std::string& path);

// One request, done when it returns.
Result<void> submit(Disk& disk, Op op, std::uint64_t offset, std::string& bytes);
Result<void> submit_range(Disk& disk, Op op, std::uint64_t offset, std::uint64_t length,
                          bool may_unmap = true);
std::string read_all(Disk& disk);

// Changes a disk at random, and beside it a text that says what it then holds.
class Mutator {
 public:
  Mutator(std::uint32_t seed, std::string held) : random_(seed), model_(std::move(held)) {}
  // One request; false when it fails, after which the model may be wrong in its range.
  bool step(Disk& disk);
  // One request of which nothing is expected but an answer.
  void poke(Disk& disk);
  const std::string& model() const { return model_; }
  // The range of the last request.
  std::uint64_t last_offset() const { return offset_; }
  std::uint64_t last_length() const { return length_; }

 private:
  void choose(const Disk& disk);
  std::string noise();
  bool read_and_compare(Disk& disk);
  bool discard_and_compare(Disk& disk);
  std::uint64_t pick(std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(random_);
  }
  std::mt19937 random_;
  std::string model_;
  std::uint64_t offset_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace mote::storage::qcow2::test

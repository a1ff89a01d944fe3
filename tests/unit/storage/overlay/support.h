// Layers to test with.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "storage/overlay/disk.h"
#include "storage/qcow2/support.h"

namespace mote::storage::overlay::test {

using qcow2::test::Mutator;
using qcow2::test::Place;
using qcow2::test::read_all;
using qcow2::test::read_file;
using qcow2::test::submit;
using qcow2::test::submit_range;
using qcow2::test::write_file;

// Bytes that differ from sector to sector.
inline std::string pattern(std::size_t size, unsigned seed = 0) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(i * 31 + i / 512 + seed * 7);
  }
  return bytes;
}

// An image of `held`, and a layer on it.
struct Made {
  explicit Made(const std::string& held, std::uint64_t size = 0, unsigned cluster_bits = 0) {
    write_file(base, held);
    const auto done = create_layer(top, {base}, size, cluster_bits);
    EXPECT_TRUE(done) << done.error().text();
  }
  Result<std::unique_ptr<OverlayDisk>> open(Access access = Access::kReadWrite,
                                            MapWrites writes = MapWrites::kThrough) const {
    return OverlayDisk::open(top, {.below = below, .access = access, .map_writes = writes});
  }

  Place place;
  std::string base = place / "base";
  std::string top = place / "top";
  std::vector<std::string> below{base};
};

// A file in memory whose host may lose its power: what was written since the last sync is there
// afterwards or is not, sector by sector. Its contents outlive it.
class FragileFile final : public ImageFile {
 public:
  struct Contents {
    std::string bytes;                            // as a reader sees them
    std::map<std::uint64_t, std::string> stable;  // sectors as they were at the last sync
    // What a power failure leaves: of each sector, by `keep`, what is new or what is stable.
    template <typename Keep>
    void lose_power(Keep keep) {
      for (auto& [at, old] : stable) {
        if (!keep()) bytes.replace(at, old.size(), old);
      }
      stable.clear();
    }
  };
  explicit FragileFile(Contents& contents) : contents_(contents) {}

  std::uint64_t size() const override { return contents_.bytes.size(); }
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override {
    for (const iovec& buffer : buffers) {
      for (std::size_t i = 0; i < buffer.iov_len; ++i, ++offset) {
        static_cast<char*>(buffer.iov_base)[i] = offset < size() ? contents_.bytes[offset] : '\0';
      }
    }
    return {};
  }
  Result<void> write(std::span<iovec> buffers, std::uint64_t offset) override {
    for (const iovec& buffer : buffers) {
      change(offset, {static_cast<const char*>(buffer.iov_base), buffer.iov_len});
      offset += buffer.iov_len;
    }
    return {};
  }
  Result<void> sync() override {
    if (fail_syncs > 0) {
      --fail_syncs;
      return fail(ErrorKind::kIo, "the storage is ill");
    }
    contents_.stable.clear();
    return {};
  }
  Result<void> grow(std::uint64_t size) override {
    contents_.bytes.resize(std::max<std::size_t>(size, contents_.bytes.size()));
    return {};
  }
  bool punch(std::uint64_t offset, std::uint64_t length) override {
    change(offset, std::string(length, '\0'));
    return true;
  }

  int fail_syncs = 0;

 private:
  void change(std::uint64_t offset, const std::string& bytes) {
    if (offset + bytes.size() > size()) contents_.bytes.resize(offset + bytes.size());
    for (std::uint64_t at = offset / 512 * 512; at < offset + bytes.size(); at += 512) {
      contents_.stable.try_emplace(at, contents_.bytes.substr(at, 512));
    }
    contents_.bytes.replace(offset, bytes.size(), bytes);
  }
  Contents& contents_;
};

}  // namespace mote::storage::overlay::test

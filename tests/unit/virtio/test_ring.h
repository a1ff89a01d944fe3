// The reference driver's side of a split ring (VIRTIO 1.2, 2.7), laid truly in guest memory: chains
// from a fluent builder, random gaps between buffers so that no device can rely on their being
// adjacent, and the guards in the gaps checked. It can also lie: every field of the ring can be
// written raw.
#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "memory/guest_memory.h"
#include "virtio/queue/queue.h"

namespace mote::virtio::test {

// 1 GiB at 0 and 16 MiB at 4 GiB, untouched until used.
memory::GuestMemory make_memory(bool track_dirty_pages = false);
inline constexpr std::uint64_t kLowEnd = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kHighStart = std::uint64_t{4} << 30;
inline constexpr std::uint64_t kHighEnd = kHighStart + (16 << 20);

// An element of the used ring.
struct Used {
  std::uint32_t head = 0;
  std::uint32_t length = 0;
  bool operator==(const Used&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const Used& used) {
  return out << "{head " << used.head << ", length " << used.length << "}";
}

struct Descriptor {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint16_t flags = 0;
  std::uint16_t next = 0;
};

class TestRing;

class ChainBuilder {
 public:
  // A buffer with `bytes` for the device to read.
  ChainBuilder& in(std::string_view bytes);
  template <typename T>
  ChainBuilder& in_value(const T& value) {
    return in({reinterpret_cast<const char*>(&value), sizeof value});
  }
  // A buffer of `length` bytes for the device to write, filled with '?'.
  ChainBuilder& out(std::uint32_t length);
  // Puts the descriptors into an indirect table.
  ChainBuilder& indirect();
  // Makes the chain available; its head.
  std::uint16_t push();

 private:
  friend class TestRing;
  explicit ChainBuilder(TestRing& ring) : ring_(ring) {}
  TestRing& ring_;
  std::vector<Descriptor> descriptors_;
  bool indirect_ = false;
};

class TestRing {
 public:
  // Takes [base, base + 8 MiB) of `memory` for the rings and buffers.
  TestRing(const memory::GuestMemory& memory, std::uint16_t size, std::uint64_t base = 0x10000,
           std::uint64_t features = kRingFeatures);

  QueueAddresses addresses() const;
  std::uint64_t features() const { return features_; }

  ChainBuilder chain() { return ChainBuilder(*this); }
  // The used elements since the last call; their chains' descriptors are free again.
  std::vector<Used> take_used();
  // What the writable buffers of the chain that was last pushed at `head` hold.
  std::string written(std::uint16_t head) const;
  // Whether a driver that pushed since the last call has to kick, by the rules of 2.7.10.
  bool kick_due();
  // What the driver says of interrupts: the used index after which it wants one; or the flag.
  void set_used_event(std::uint16_t index);
  void set_no_interrupt(bool on);
  // Whether a byte between the buffers has been written.
  bool gaps_intact() const;

  // Lies
  void put(std::uint16_t index, const Descriptor& descriptor);
  void put_at(std::uint64_t table, std::uint16_t index, const Descriptor& descriptor);
  void offer(std::uint16_t head);
  void set_available_index(std::uint16_t index);

  std::uint16_t available_index() const { return available_; }
  std::uint16_t used_index() const;
  std::uint16_t avail_event() const;
  std::uint16_t used_flags() const;
  // `length` bytes of guest memory of its own, with guards around.
  std::uint64_t allocate(std::uint64_t length, std::uint64_t alignment = 1);

  // Lets new buffers take the place of old ones. Nothing may be in flight.
  void rewind();

  // Moves both indices and what this side knows of them, before the device has the queue: a ring
  // that has come far.
  void start_at(std::uint16_t index);

 private:
  friend class ChainBuilder;
  struct Gap {
    std::uint64_t address = 0;
    std::uint64_t length = 0;
  };

  const memory::GuestMemory& memory_;
  std::uint16_t size_;
  std::uint64_t base_;
  std::uint64_t features_;
  std::uint64_t next_free_;
  std::uint64_t table_ = 0;
  std::uint64_t available_ring_ = 0;
  std::uint64_t used_ring_ = 0;
  std::uint64_t buffers_ = 0;  // where buffers begin
  std::size_t ring_gaps_ = 0;  // gaps before that
  std::uint16_t available_ = 0;
  std::uint16_t kicked_ = 0;  // available_ at the last kick_due()
  std::uint16_t seen_used_ = 0;
  std::vector<std::uint16_t> free_;
  std::map<std::uint16_t, std::vector<std::uint16_t>> chains_;  // descriptors of a head
  std::map<std::uint16_t, std::vector<Descriptor>> outs_;       // writable buffers of a head
  std::vector<Gap> gaps_;
  std::minstd_rand random_{20};
};

}  // namespace mote::virtio::test

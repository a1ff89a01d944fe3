// Link is what a network device is plugged into: a tap, or something that wraps another Link and
// looks at what passes. It carries Ethernet frames, each behind a virtio_net_hdr_v1 (VIRTIO 1.2,
// 5.1.6; kHeaderSize bytes), in one or several lanes: a lane is one way in and one way out, served
// apart from the others. A link belongs to one thread, which never blocks in it.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"

namespace mote::network {

inline constexpr std::size_t kHeaderSize = 12;
inline constexpr std::size_t kEthernetHeaderSize = 14;
// The longest that passes, header included (VIRTIO 1.2, 5.1.6.3.1): 64 KiB of IP packet, less one,
// that is still to be segmented, behind an Ethernet header.
inline constexpr std::size_t kMaxFrameSize = 65562;

// What a receiver takes unfinished: frames whose checksum, or whose cutting to the MTU, is left to
// it.
struct Offloads {
  bool checksum = false;
  bool tso4 = false;  // TCP over IPv4; these and the next need `checksum`
  bool tso6 = false;
  bool ecn = false;  // with ECN bits set; needs one of the two
  bool uso = false;  // UDP over either
  bool operator==(const Offloads&) const = default;
};

class Link {
 public:
  // A lane that has refused, or had nothing, may be tried again. Said once each time that changes,
  // and now and then for nothing.
  struct Readiness {
    bool receive = false;
    bool send = false;
  };
  using Ready = std::function<void(unsigned lane, Readiness readiness)>;

  virtual ~Link() = default;

  // For messages: "tap 'tap0'".
  virtual std::string name() const = 0;
  virtual unsigned lanes() const = 0;
  // What the other side can take from the guest, and could be asked to give it, by set_offloads().
  virtual Offloads offered() const = 0;

  // Calls `ready` on the loop's thread from now on, for every lane in use; replaces an earlier one.
  // The loop outlives the link.
  virtual Result<void> watch(EventLoop& loop, Ready ready) = 0;
  // What may come unfinished to receive().
  virtual Result<void> set_offloads(const Offloads& offloads) = 0;
  // The first `count` lanes, of 1 to lanes(), are in use; nothing comes in at the others.
  virtual Result<void> use_lanes(unsigned count) = 0;

  // Takes the next frame with its header into `into`, which has at most 1024 parts: its whole
  // length, of which no more is there than fits. Bytes 10 and 11 of the header are the caller's to
  // fill in. Empty: none is waiting. Errors: kIo; kState when the link is gone for good.
  virtual Result<std::optional<std::size_t>> receive(unsigned lane,
                                                     std::span<const iovec> into) = 0;
  // Sends one frame with its header, from at most 1024 parts; false: no room now, nothing was
  // sent. The memory may change while it is read. Errors: kInvalid when the other side refuses
  // this frame; others as receive().
  virtual Result<bool> send(unsigned lane, std::span<const iovec> frame) = 0;
};

}  // namespace mote::network

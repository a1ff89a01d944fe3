// Tap is a Link into the host's network: a tap interface, a queue of it a lane.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "network/link.h"

namespace mote::network {

// The longest name of an interface.
inline constexpr std::size_t kMaxTapName = 15;
// The most queues that Linux gives a tap.
inline constexpr unsigned kMaxTapLanes = 256;

class Tap final : public Link {
 public:
  // Opens the tap `name` with `lanes` queues (1 to kMaxTapLanes), or makes it where there is none
  // and this process may; one that was made goes when the Tap does. With an empty `name`, or one
  // with "%d" in it, the host chooses what is not in use. Errors: kInvalid: a name that no
  // interface can have; kPermission; kState: in use; kInvalid: not a tap, or one with other queues.
  static Result<std::unique_ptr<Tap>> open(const std::string& name, unsigned lanes);
  // A tap whose queues somebody else has opened and handed to this process, a descriptor a lane
  // (/dev/net/tun after TUNSETIFF, or a macvtap). The descriptors stay open. Errors (kInvalid): one
  // that is no queue of a tap with IFF_TAP | IFF_VNET_HDR; queues of different taps. IFF_NO_PI is
  // needed and cannot be checked.
  static Result<std::unique_ptr<Tap>> adopt(const std::vector<int>& descriptors);

  // The interface's name, as the host has it.
  const std::string& interface_name() const { return interface_; }

  // Of its queues, in order; they are the tap's.
  std::vector<int> descriptors() const;

  std::string name() const override { return "tap '" + interface_ + "'"; }
  unsigned lanes() const override { return static_cast<unsigned>(queues_.size()); }
  Offloads offered() const override { return offered_; }
  Result<void> watch(EventLoop& loop, Ready ready) override;
  Result<void> set_offloads(const Offloads& offloads) override;
  Result<void> use_lanes(unsigned count) override;
  Result<std::optional<std::size_t>> receive(unsigned lane, std::span<const iovec> into) override;
  Result<bool> send(unsigned lane, std::span<const iovec> frame) override;

 private:
  struct Queue {
    UniqueFd fd;
    bool attached = true;
    EventLoop::Watch watch = {};
  };

  Tap(std::string interface, std::vector<UniqueFd> queues);
  // Sets the header's size, and finds what the kernel can take over.
  Result<void> prepare();

  std::string interface_;
  std::vector<Queue> queues_;
  Offloads offered_;
  Ready ready_;
};

// Whether an interface can have this name; the error says what is wrong with it. Empty, and "%d"
// once, are for the host to fill in.
Result<void> check_tap_name(const std::string& name);

}  // namespace mote::network

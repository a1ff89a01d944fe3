// The kernel's command line, put together as Firecracker does it: what the user gives, then what
// the machine adds, then the words for init after " -- ".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mote::arch {

class Cmdline {
 public:
  // The user's arguments where he gives none: as Firecracker's, to start fast and to end with the
  // guest.
  static constexpr std::string_view kDefault =
      "reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.dumbkbd "
      "swiotlb=noforce";

  // An empty one.
  Cmdline() = default;
  // From the user's arguments. What follows the first " -- " is for init and stays last. Errors: a
  // character that is not printable ASCII (its position and code are named); too long.
  static Result<Cmdline> parse(std::string_view text);

  // Each of these adds one argument behind the kernel's others; an error when the whole would
  // become longer than the protocol allows (2048 bytes with the NUL).
  Result<void> add(std::string_view argument);
  // "root=/dev/vda ro", or "root=PARTUUID=... ro" where `partuuid` is not empty; "rw" unless
  // read_only. An error when `partuuid` would not stay one argument.
  Result<void> add_root(std::string_view partuuid, bool read_only);
  // "virtio_mmio.device=4K@0xc0001000:5".
  Result<void> add_virtio_mmio(std::uint64_t size, std::uint64_t base, std::uint32_t gsi);

  // The whole line, without a NUL.
  std::string text() const;

 private:
  Result<void> check() const;

  std::string kernel_;
  std::string init_;
};

}  // namespace mote::arch

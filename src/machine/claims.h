// Claims is what a configuration under construction has of the host before its machine is made: the
// taps that it names are open from then on, so that nobody else gets them. The rest is only tried,
// so that whoever names what is not there hears it at once.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "machine/config.h"
#include "network/tap.h"

namespace mote::machine {

// Each opens what `config` (checked before) names, and closes it again. Errors name the field, or
// the device.
Result<void> try_out(const BootSource& config);
Result<void> try_out(const virtio::BlockConfig& config, EventLoop& loop);
Result<void> try_out(const virtio::VsockConfig& config);

class Claims {
 public:
  // Opens the tap of `config` (checked before) in place of what that interface had; its name, which
  // the host may have chosen, or nothing where the configuration brings descriptors. An error
  // leaves what there was.
  Result<std::optional<std::string>> take(const virtio::NetConfig& config);
  // `config` with the taps as descriptors, which live as long as the claims.
  VmConfig resolve(VmConfig config) const;
  // Gives everything back.
  void clear() { taps_.clear(); }

 private:
  struct Claim {
    std::string name;  // as the configuration has it
    std::unique_ptr<network::Tap> tap;
  };
  std::map<std::string, Claim> taps_;  // by iface_id
};

}  // namespace mote::machine

// The target of one kind of device: MOTE_FUZZ_DEVICE of virtio/, by the rig in MOTE_FUZZ_RIG.
#include "fuzz/target.h"
#include "fuzz/virtio/guest.h"
#include MOTE_FUZZ_RIG

namespace mote::fuzz {
namespace {

// The rig's own, where it has one.
template <typename D>
void add_seed_of(std::vector<std::string>& made) {
  if constexpr (requires { Rig<D>::seed(); }) made.push_back(Rig<D>::seed());
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) { fuzz_device<virtio::MOTE_FUZZ_DEVICE>(bytes); }

// Numbers that start the device and then push requests: what Guest::step() takes them for.
std::vector<std::string> seeds() {
  std::vector<std::string> made;
  for (const char filler : {'\x0b', '\x00', '\x5a'}) {
    std::string bytes(256, filler);
    for (std::size_t i = 0; i < bytes.size(); i += 7) bytes[i] = static_cast<char>(i);
    made.push_back(bytes + std::string(32, '\x0b') + std::string(1, '\0'));
  }
  add_seed_of<virtio::MOTE_FUZZ_DEVICE>(made);
  return made;
}

}  // namespace mote::fuzz

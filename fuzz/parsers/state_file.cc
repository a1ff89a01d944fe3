// A snapshot's state file: any bytes behind a sound header are refused with a sentence, or are a
// state that is written as it was read.
#include <algorithm>

#include "fuzz/target.h"
#include "machine/snapshot.h"
#include "snapshot/describe.h"

namespace mote::fuzz {

void run(std::span<const std::uint8_t> input) {
  const auto bytes = std::as_bytes(input);
  const auto header = snapshot::read_header(bytes);
  if (!header) require(!header.error().text().empty(), "an error says what is wrong");
  snapshot::Notes notes;
  const auto state = snapshot::read<machine::SnapshotState>(bytes, notes);
  const bool whole =
      snapshot::walk(bytes, [](const std::string&, const snapshot::Node&) {}).has_value();
  if (!state) return require(!state.error().text().empty(), "an error says what is wrong");
  if (!notes.skipped.empty() || !whole) return;
  const auto again = snapshot::write(*state);
  const auto back = snapshot::read<machine::SnapshotState>(again, notes);
  require(back.has_value(), "what was written is read");
  require(snapshot::write(*back) == again, "and is the same");
}

std::vector<std::string> seeds() {
  machine::SnapshotState state;
  state.memory = {{.start = 0, .size = 4096}};
  state.config.boot_source.kernel_image_path = "k";
  state.config.vsock = virtio::VsockConfig{.guest_cid = 3, .uds_path = "v"};
  state.machine.vcpus.emplace_back().msrs = {{.index = 16, .data = 7}};
  state.machine.devices.push_back({.section = "vsock", .device = virtio::VsockState{}});
  const auto bytes = snapshot::write(state);
  const auto file = snapshot::make_state_file({.maker = "m"}, bytes);
  const auto text = [](const std::vector<std::byte>& from) {
    return std::string(reinterpret_cast<const char*>(from.data()), from.size());
  };
  return {text(bytes), text(file)};
}

}  // namespace mote::fuzz

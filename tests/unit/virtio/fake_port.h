// The host's end of a console port as a test has it: what was written, what will be read, how much
// room there is.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>

#include "virtio/console/backend.h"

namespace mote::virtio::test {

class FakePort final : public PortBackend {
 public:
  bool connected() const override { return present; }
  Result<std::size_t> write(std::span<const std::byte> bytes) override {
    if (broken) return fail(ErrorKind::kIo, "the fake port fails");
    const std::size_t count = std::min(room, bytes.size());
    output.append(reinterpret_cast<const char*>(bytes.data()), count);
    room -= count;
    return count;
  }
  Result<std::size_t> read(std::span<std::byte> into) override {
    ++reads;
    if (broken) return fail(ErrorKind::kIo, "the fake port fails");
    const std::size_t count = std::min(into.size(), input.size());
    std::memcpy(into.data(), input.data(), count);
    input.erase(0, count);
    return count;
  }
  std::optional<WindowSize> window() const override { return size; }

  // As the event loop would.
  void tell() const { changed(); }

  std::string output;
  std::string input;
  std::size_t room = SIZE_MAX;
  bool present = true;
  bool broken = false;
  int reads = 0;
  std::optional<WindowSize> size;
};

}  // namespace mote::virtio::test

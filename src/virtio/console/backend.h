// PortBackend is the host's end of a console port: bytes both ways, without waiting. Belongs to the
// machine thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/result.h"

namespace mote::virtio {

struct WindowSize {
  std::uint16_t columns = 0;
  std::uint16_t rows = 0;
  bool operator==(const WindowSize&) const = default;
};

class PortBackend {
 public:
  virtual ~PortBackend() = default;

  // Whether somebody is at this end.
  virtual bool connected() const = 0;
  // Takes bytes from the front of `bytes`; how many. Fewer than all: there is no room now, and the
  // listener is called when there is. An error: these bytes are lost.
  virtual Result<std::size_t> write(std::span<const std::byte> bytes) = 0;
  // Puts bytes to the front of `into`; how many. None: there is nothing now, and the listener is
  // called when there is. An error: nothing will come from who is there now.
  virtual Result<std::size_t> read(std::span<std::byte> into) = 0;

  // Of a terminal; empty: this end is none.
  virtual std::optional<WindowSize> window() const { return std::nullopt; }

  // Whom to call when there is room, there are bytes, or connected() is another. Never
  // from inside a call of this class.
  void set_listener(std::function<void()> listener) { listener_ = std::move(listener); }

 protected:
  void changed() const {
    if (listener_) listener_();
  }

 private:
  std::function<void()> listener_;
};

}  // namespace mote::virtio

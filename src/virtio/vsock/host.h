// What the vsock device needs of the host: byte streams, and someone who brings them. An interface,
// so that tests hand the device a fake.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"

namespace mote::virtio::vsock {

// What has become of a stream. `hung_up`: nothing passes either way any more, beyond what can still
// be read.
struct Ready {
  bool readable = false;
  bool writable = false;
  bool hung_up = false;
};

// The host's end of a connection. Nothing here blocks. Belongs to the machine thread.
class HostStream {
 public:
  using Listener = std::function<void(Ready)>;

  virtual ~HostStream() = default;

  // Fills `buffers` with what is there: how many bytes, 0 at the end of the stream, nullopt where
  // it would block.
  virtual Result<std::optional<std::size_t>> read(std::span<const iovec> buffers) = 0;
  // Whether read() would say something else than that it would block: a look, cheap enough to
  // repeat. What read() then takes may stay in the program's eyes until release() or the next
  // read().
  virtual bool waiting() = 0;
  virtual void release() = 0;
  // Takes what it can of `buffers`: how many bytes, nullopt where it would block.
  virtual Result<std::optional<std::size_t>> write(std::span<const iovec> buffers) = 0;
  // No more is written: the host reads the end. / No more is read: the host's writes fail.
  virtual void shut_write() = 0;
  virtual void shut_read() = 0;

  // The guest has accepted, on the host's `port`: tells a host program that asked for the
  // connection.
  virtual Result<void> accepted(std::uint32_t port) = 0;

  // Calls the listener whenever the stream is ready for what is asked for here, again for as long
  // as it is, and when it has hung up. The listener may destroy the stream.
  virtual void set_listener(Listener listener) = 0;
  virtual Result<void> watch(bool readable, bool writable) = 0;
  // Ends the calls until the next watch().
  virtual void unwatch() = 0;
};

class HostBackend {
 public:
  // A host program wants a connection to `port` of the guest.
  using Newcomer = std::function<void(std::unique_ptr<HostStream> stream, std::uint32_t port)>;

  virtual ~HostBackend() = default;

  // The host's service at `port`, or an error: nobody is there.
  virtual Result<std::unique_ptr<HostStream>> connect(std::uint32_t port) = 0;
  // Lets newcomers in, until ignore(). Errors: the host has no room to watch for them.
  virtual Result<void> listen(Newcomer newcomer) = 0;
  virtual void ignore() = 0;
  // How many newcomers failed: those that did not say in time, or in words that mean something,
  // what they want, and those for whom the process had no descriptor.
  virtual std::uint64_t failed() const = 0;
  // Where others know it by a name, that stays when it goes.
  virtual void leave_name() {}
};

}  // namespace mote::virtio::vsock

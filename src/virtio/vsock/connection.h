// Connection is one stream between a port of the guest and a port of the host: the state machine of
// VIRTIO 1.2, 5.10.6, with the guest's packets on one side and a HostStream on the other. It knows
// no queue: it is handed packets, and fills one when asked. Belongs to the machine thread.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "virtio/queue/chain.h"
#include "virtio/vsock/host.h"
#include "virtio/vsock/metrics.h"
#include "virtio/vsock/packet.h"
#include "virtio/vsock/tx_buffer.h"

namespace mote::virtio::vsock {

using Clock = std::chrono::steady_clock;

struct Times {
  // For the guest to answer a request or the end of a connection.
  std::chrono::nanoseconds answer = std::chrono::seconds(2);
  // For a host program to read anything of what a guest that has closed left for it.
  std::chrono::nanoseconds drain = std::chrono::seconds(10);
};

// What the connections of a device share.
struct Common {
  std::uint32_t guest_cid = 0;
  Times times;
  VsockMetrics metrics;
  std::vector<iovec> buffers;  // of one system call
};

// What becomes of a connection.
enum class Outcome {
  kStays,
  kEnds,    // without a word: the guest does not know it, or not any more
  kClosed,  // the guest closed it, and gets the reset that confirms this
  kKilled,  // the guest gets a reset
  kDrains,  // as kClosed, but the host has not read everything: it stays apart until then
};

class Connection : public boost::intrusive::list_base_hook<
                       boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  // Asked for by the guest with `request`; the host's `stream` is there.
  Connection(Ports ports, std::unique_ptr<HostStream> stream, Common& common,
             const Header& request);
  // Asked for by the host. The guest has the time for an answer from now on.
  Connection(Ports ports, std::unique_ptr<HostStream> stream, Common& common);

  const Ports& ports() const { return ports_; }
  bool draining() const { return state_ == State::kDraining; }
  // When expire() is due; empty: never.
  std::optional<Clock::time_point> deadline() const { return deadline_; }

  // Watches the stream from now on, whose events are for ready().
  [[nodiscard]] Outcome begin(HostStream::Listener listener);
  // A packet of the guest that is no request. `payload` has header.len bytes at least.
  [[nodiscard]] Outcome receive(const Header& header, ChainReader& payload);
  [[nodiscard]] Outcome ready(Ready ready);
  // Whether the host's program may say something of which this side does not know yet; then,
  // whether it has.
  bool hears_host() const {
    return state_ == State::kOpen && host_sends_ && guest_takes_data() && credit() > 0 &&
           !readable_ && !hung_up_;
  }
  bool host_has_data() { return stream_->waiting(); }
  // After such a look: the program may know by now what was read.
  void release() { stream_->release(); }
  // The deadline has passed.
  [[nodiscard]] Outcome expire() const;

  // Whether fill() may have a packet.
  bool has_packet() const;
  struct Filled {
    bool packet = false;  // `header` is to be sent with the payload that was written
    Outcome outcome = Outcome::kStays;
  };
  // Makes the next packet for the guest, its payload straight from the host.
  [[nodiscard]] Filled fill(Header& header, ChainWriter& payload);

 private:
  enum class State {
    kRequesting,  // the guest is to get a request
    kRequested,   // and to answer it
    kResponding,  // the guest is to get the answer to its request
    kOpen,
    kDraining,  // the guest has closed; what it sent before is still on its way
  };

  Outcome open();
  Outcome take_data(std::uint32_t length, ChainReader& payload);
  Outcome guest_shuts(std::uint32_t flags);
  Outcome flush();
  Outcome hang_up();
  void host_stopped_reading();
  Outcome watch();

  bool guest_takes_data() const { return (guest_shut_ & kShutReceive) == 0; }
  std::uint32_t credit() const;
  bool can_read() const;
  // What is to be told of this side's directions, and has not been.
  std::uint32_t shutdown_due() const;
  bool credit_request_due() const { return can_read() && credit() == 0 && !credit_asked_; }
  bool credit_update_due() const;
  // Reads what the guest has credit and the chain room for: how many bytes.
  Result<std::size_t> read(ChainWriter& payload, Outcome& outcome);
  Filled say(Header& header, std::uint16_t op, std::uint32_t flags = 0);

  const Ports ports_;
  std::unique_ptr<HostStream> stream_;
  Common& common_;
  State state_;
  bool readable_ = false;  // the stream is known to have something, or its end
  bool hung_up_ = false;
  bool host_sends_ = true;  // until its end was read
  bool host_reads_ = true;
  bool credit_asked_ = false;
  bool update_wanted_ = false;
  std::uint32_t guest_shut_ = 0;  // directions that the guest has shut
  std::uint32_t told_shut_ = 0;   // directions of which the guest was told
  // Bytes since the beginning, modulo 2^32 as in the headers.
  std::uint32_t sent_ = 0;             // to the guest
  std::uint32_t guest_forwarded_ = 0;  // of these, what its program has read
  std::uint32_t guest_alloc_ = 0;      // what it buffers
  std::uint32_t received_ = 0;         // from the guest
  std::uint32_t forwarded_ = 0;        // of these, what the host has taken
  std::uint32_t told_forwarded_ = 0;
  TxBuffer tx_;
  std::optional<Clock::time_point> deadline_;
};

}  // namespace mote::virtio::vsock

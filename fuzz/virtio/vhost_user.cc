// What a vhost-user backend answers: the frontend goes through a device's whole life over answers
// that are mostly what it asked for, and in places anything else.
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "fuzz/input.h"
#include "fuzz/target.h"
#include "virtio/vhost_user/frontend.h"

namespace mote::fuzz {
namespace {

using virtio::vhost_user::Channel;
using virtio::vhost_user::Frontend;
using virtio::vhost_user::MessageHeader;
using virtio::vhost_user::Request;

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }
constexpr std::uint16_t kQueueSize = 16;
constexpr std::size_t kConfigSize = 60;
constexpr std::size_t kMostFds = 10;

// The answers of a backend, all of them in its socket before they are asked for.
class Backend {
 public:
  Backend(Input& input, int socket) : input_(input), socket_(socket) {}

  void answer_everything() {
    const std::uint64_t features = number_or(bit(VIRTIO_F_VERSION_1) | bit(30));
    value(Request::kGetFeatures, features);
    protocol_ = 0;
    if ((features & bit(virtio::vhost_user::kProtocolFeaturesBit)) != 0) {
      protocol_ = number_or(~std::uint64_t{0});
      value(Request::kGetProtocolFeatures, protocol_);
    }
    acknowledge(Request::kSetOwner);
    if (can(virtio::vhost_user::kMultiQueue)) value(Request::kGetQueueNum, number_or(1));
    if (can(virtio::vhost_user::kConfig)) answer_config();
    for (const Request each : {Request::kSetFeatures, Request::kSetMemTable}) acknowledge(each);
    if (can(virtio::vhost_user::kInflight)) answer_notes();
    for (const Request each :
         {Request::kSetVringNum, Request::kSetVringBase, Request::kSetVringAddr,
          Request::kSetVringCall, Request::kSetVringKick, Request::kSetVringEnable}) {
      acknowledge(each);
    }
    value(Request::kGetVringBase, number_or(std::uint64_t{7} << 32));
    send(input_.rest(), 0);
  }

 private:
  bool can(unsigned feature) const { return (protocol_ >> feature & 1) != 0; }
  std::uint64_t number_or(std::uint64_t usual) {
    return input_.once_in(8) ? input_.number<std::uint64_t>() : usual;
  }
  void value(Request request, std::uint64_t number) {
    message(request, std::string(reinterpret_cast<const char*>(&number), sizeof number), 0);
  }
  void acknowledge(Request request) {
    if (can(virtio::vhost_user::kReplyAck)) value(request, number_or(0));
  }
  void answer_config() {
    virtio::vhost_user::ConfigHeader header{.offset = 0, .size = kConfigSize, .flags = 0};
    if (input_.once_in(8)) header = input_.value<virtio::vhost_user::ConfigHeader>();
    std::string payload(sizeof header + kConfigSize, 'c');
    std::memcpy(payload.data(), &header, sizeof header);
    message(Request::kGetConfig, payload, 0);
  }
  void answer_notes() {
    virtio::vhost_user::InflightRegion region{.size = 4096};
    if (input_.once_in(4)) region = input_.value<virtio::vhost_user::InflightRegion>();
    message(Request::kGetInflightFd,
            std::string(reinterpret_cast<const char*>(&region), sizeof region), 1);
    acknowledge(Request::kSetInflightFd);
  }

  // An answer to `request`; now and then to another, of another size, cut short, with other
  // descriptors.
  void message(Request request, std::string payload, std::size_t fds) {
    if (input_.once_in(32)) payload = input_.text(512);
    MessageHeader header{.request = request,
                         .flags = virtio::vhost_user::kVersion | virtio::vhost_user::kIsReply,
                         .size = static_cast<std::uint32_t>(payload.size())};
    if (input_.once_in(32)) header = input_.value<MessageHeader>();
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
    bytes += payload;
    if (input_.once_in(32)) bytes.resize(input_.below(bytes.size()));
    if (input_.once_in(16)) fds = input_.below(kMostFds + 1);
    // In two pieces, of which the second may have descriptors as well.
    const std::size_t first = input_.once_in(16) ? input_.below(bytes.size() + 1) : bytes.size();
    send(std::string_view(bytes).substr(0, first), fds);
    send(std::string_view(bytes).substr(first), input_.once_in(16) ? 1 : 0);
  }

  void send(std::string_view bytes, std::size_t fds) const {
    if (bytes.empty()) return;
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds > 0) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(fds * sizeof(int));
      for (std::size_t i = 0; i < fds; ++i) {
        std::memcpy(CMSG_DATA(rights) + i * sizeof(int), &socket_, sizeof(int));
      }
    }
    static_cast<void>(::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
  }

  Input& input_;
  int socket_;
  std::uint64_t protocol_ = 0;
};

Result<void> live(Frontend& frontend, const memory::GuestMemory& memory, int fd) {
  std::array<std::byte, kConfigSize> config{};
  MOTE_CHECK(frontend.read_config(config));
  MOTE_CHECK(frontend.set_up(frontend.features(), memory));
  if (frontend.can(virtio::vhost_user::kInflight)) {
    MOTE_TRY(const auto notes, frontend.make_inflight(1, kQueueSize));
    require(notes.region.size > 0 && notes.region.size <= (std::uint64_t{64} << 20),
            "notes are bounded");
    require(notes.region.queues == 1 && notes.region.queue_size == kQueueSize && notes.fd,
            "notes are of the queue");
    MOTE_CHECK(frontend.set_inflight(notes));
  }
  const virtio::QueueWiring wiring{
      .addresses = {.size = kQueueSize, .descriptors = 0x1000, .driver = 0x2000, .device = 0x3000},
      .next_avail = 0,
      .kick_fd = fd,
      .interrupt_fd = fd};
  MOTE_CHECK(frontend.start_queue(0, wiring, memory));
  MOTE_CHECK(frontend.stop_queue(0));
  return {};
}

// The lowest number that a descriptor could have: one that is left open changes it.
int lowest_free() {
  const UniqueFd probe(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  return probe.get();
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  static const memory::GuestMemory memory = std::move(
      *memory::GuestMemory::create({.ranges = {{0, 2 << 20}}, .backing = memory::Backing::kMemfd}));
  const int before = lowest_free();
  {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, "a socket");
    UniqueFd ours(ends[0]);
    const UniqueFd theirs(ends[1]);
    Input input(bytes);
    Backend(input, theirs.get()).answer_everything();
    ::shutdown(theirs.get(), SHUT_WR);
    auto frontend = Frontend::create(std::move(*Channel::adopt(std::move(ours))), 1);
    if (frontend) {
      static_cast<void>(live(**frontend, memory, theirs.get()));
    } else {
      require(!frontend.error().text().empty(), "an error says something");
    }
  }
  require(lowest_free() == before, "no descriptor is left open");
}

std::vector<std::string> seeds() {
  // Zeros: no wish for anything unusual; and some with wishes at different places.
  std::vector<std::string> made = {std::string(64, '\0')};
  for (std::size_t place = 0; place < 64; place += 9) {
    std::string bytes(160, '\0');
    bytes[bytes.size() - 1 - place] = '\x01';
    made.push_back(std::move(bytes));
  }
  return made;
}

}  // namespace mote::fuzz

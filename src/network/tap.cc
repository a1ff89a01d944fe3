#include "network/tap.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "network/tap_abi.h"

namespace mote::network {
namespace {

unsigned bits_of(const Offloads& offloads) {
  // The kernel refuses the others without the checksum, and ECN without either TSO.
  if (!offloads.checksum) return 0;
  unsigned bits = TUN_F_CSUM;
  if (offloads.tso4) bits |= TUN_F_TSO4;
  if (offloads.tso6) bits |= TUN_F_TSO6;
  if (offloads.ecn && (offloads.tso4 || offloads.tso6)) bits |= TUN_F_TSO_ECN;
  if (offloads.uso) bits |= TUN_F_USO4 | TUN_F_USO6;
  return bits;
}

bool try_offloads(int fd, const Offloads& offloads) {
  return ::ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(bits_of(offloads))) == 0;
}

// An Error of a frame that did not pass.
std::unexpected<Error> frame_error(int code, const std::string& name, const char* what) {
  // The interface was deleted: the descriptor is nobody's queue any more.
  if (code == EBADFD) return fail(ErrorKind::kState, "{} is gone", name);
  return fail_errno(code, "{} {}", what, name);
}

}  // namespace

Tap::Tap(std::string interface, std::vector<UniqueFd> queues) : interface_(std::move(interface)) {
  for (UniqueFd& fd : queues) queues_.push_back({.fd = std::move(fd)});
}

Result<void> Tap::prepare() {
  const int fd = queues_.front().fd.get();
  int size = kHeaderSize;
  if (::ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) {
    return fail_errno(errno, "set the size of its header to {}", size);
  }
  Offloads all{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true, .uso = true};
  // What a kernel does not know it refuses, and all the rest with it.
  if (!try_offloads(fd, all)) {
    all.uso = false;
    if (!try_offloads(fd, all)) all = {};
  }
  offered_ = all;
  return set_offloads({});
}

Result<void> Tap::set_offloads(const Offloads& offloads) {
  if (try_offloads(queues_.front().fd.get(), offloads)) return {};
  return fail_errno(errno, "set the offloads of {}", name());
}

Result<void> Tap::watch(EventLoop& loop, Ready ready) {
  ready_ = std::move(ready);
  for (unsigned lane = 0; lane < lanes(); ++lane) {
    // Edge-triggered: said once, when something changes, so that a guest which takes nothing costs
    // nothing; and without a system call to turn it off and on.
    MOTE_TRY(queues_[lane].watch,
             loop.watch(queues_[lane].fd.get(), EPOLLIN | EPOLLOUT | EPOLLET,
                        [this, lane](std::uint32_t events) {
                          const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
                          ready_(lane, {.receive = broken || (events & EPOLLIN) != 0,
                                        .send = broken || (events & EPOLLOUT) != 0});
                        }));
  }
  return {};
}

std::vector<int> Tap::descriptors() const {
  std::vector<int> descriptors;
  for (const Queue& queue : queues_) descriptors.push_back(queue.fd.get());
  return descriptors;
}

Result<void> Tap::use_lanes(unsigned count) {
  for (unsigned lane = 0; lane < lanes(); ++lane) {
    Queue& queue = queues_[lane];
    const bool wanted = lane < count;
    if (queue.attached == wanted) continue;
    ifreq request{};
    request.ifr_flags = wanted ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
    if (::ioctl(queue.fd.get(), TUNSETQUEUE, &request) < 0) {
      return fail_errno(errno, "{} queue {} of {}", wanted ? "attach" : "detach", lane, name());
    }
    queue.attached = wanted;
  }
  return {};
}

Result<std::optional<std::size_t>> Tap::receive(unsigned lane, std::span<const iovec> into) {
  while (true) {
    const ssize_t length = read_buffers(queues_[lane].fd.get(), into, kNoOffset);
    if (length >= 0) return static_cast<std::size_t>(length);
    if (errno == EAGAIN) return std::nullopt;
    if (errno != EINTR) return frame_error(errno, name(), "receive from");
  }
}

Result<bool> Tap::send(unsigned lane, std::span<const iovec> frame) {
  while (true) {
    if (write_buffers(queues_[lane].fd.get(), frame, kNoOffset) >= 0) return true;
    if (errno == EAGAIN) return false;
    if (errno != EINTR) return frame_error(errno, name(), "send to");
  }
}

}  // namespace mote::network

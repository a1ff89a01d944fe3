#include <fcntl.h>
#include <sys/ioctl.h>

#include <cstring>

#include "network/tap.h"
#include "network/tap_abi.h"

namespace mote::network {
namespace {

constexpr int kWantedFlags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What TUNSETIFF's error means; the kernel says little.
std::unexpected<Error> explain(int code, const std::string& name, unsigned lanes) {
  switch (code) {
    case EPERM:
      return fail(ErrorKind::kPermission,
                  "tap '{}' cannot be opened: it is not there, or belongs to another user, and "
                  "making or taking one needs CAP_NET_ADMIN; make it with: ip tuntap add {} mode "
                  "tap user $USER vnet_hdr{}",
                  name, name, lanes > 1 ? " multi_queue" : "");
    case EBUSY:
      return fail(ErrorKind::kState, "tap '{}' is in use by another process", name);
    case EINVAL:
      return fail(ErrorKind::kInvalid, "interface '{}' is not a tap{}", name,
                  lanes > 1 ? " made for several queues (multi_queue)"
                            : ", or one made for several queues");
    case E2BIG:
      return fail(ErrorKind::kInvalid, "tap '{}' has fewer than {} free queues", name, lanes);
    default:
      return fail_errno(code, "open tap '{}'", name);
  }
}

Result<UniqueFd> open_device() {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open /dev/net/tun");
  return fd;
}

// Fills in `request` with what the queue behind `fd` is.
Result<void> ask(int fd, ifreq& request) {
  request = {};
  if (::fcntl(fd, F_GETFD) < 0) {
    return fail(ErrorKind::kInvalid, "descriptor {} is not open", fd);
  }
  if (::ioctl(fd, TUNGETIFF, &request) < 0) {
    return fail(ErrorKind::kInvalid, "descriptor {} is no queue of a tap", fd);
  }
  // IFF_NO_PI cannot be seen: in this answer its bit says something else (IFF_NOFILTER).
  constexpr int kVisible = IFF_TAP | IFF_VNET_HDR;
  if ((request.ifr_flags & (IFF_TUN | kVisible)) != kVisible) {
    return fail(ErrorKind::kInvalid,
                "descriptor {}, of interface '{}', was not opened with IFF_TAP | IFF_NO_PI | "
                "IFF_VNET_HDR",
                fd, request.ifr_name);
  }
  return {};
}

Result<UniqueFd> take(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno(errno, "duplicate descriptor {}", fd);
  const int flags = ::fcntl(copy.get(), F_GETFL);
  if (flags < 0 || ::fcntl(copy.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
    return fail_errno(errno, "make descriptor {} non-blocking", fd);
  }
  return copy;
}

}  // namespace

Result<void> check_tap_name(const std::string& name) {
  const auto refuse = [](const char* why) { return fail(ErrorKind::kInvalid, "{}", why); };
  if (name.size() > kMaxTapName) return refuse("it is longer than 15 bytes");
  if (name == "." || name == "..") return refuse("no interface can be called so");
  std::size_t placeholders = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '\0' || c == '/' || c == ':' || is_space(c)) {
      return refuse("it has a NUL, slash, colon or blank in it");
    }
    if (c != '%') continue;
    ++placeholders;
    if (placeholders > 1 || i + 1 == name.size() || name[i + 1] != 'd') {
      return refuse("a percent sign can only be part of one %d, where the host puts a number");
    }
  }
  return {};
}

Result<std::unique_ptr<Tap>> Tap::open(const std::string& name, unsigned lanes) {
  if (auto sound = check_tap_name(name); !sound) {
    return fail(ErrorKind::kInvalid, "'{}' is not a name of an interface: {}", name,
                sound.error().message());
  }
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), name.size());
  std::vector<UniqueFd> queues;
  for (unsigned i = 0; i < lanes; ++i) {
    MOTE_TRY(UniqueFd fd, open_device());
    // The kernel writes the name that it chose for the first queue; the others name it.
    request.ifr_flags =
        static_cast<short>(kWantedFlags | (lanes > 1 ? IFF_MULTI_QUEUE : 0));  // NOLINT
    if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return explain(errno, name, lanes);
    queues.push_back(std::move(fd));
  }
  std::unique_ptr<Tap> tap(new Tap(request.ifr_name, std::move(queues)));
  MOTE_CHECK_WITHIN(tap->prepare(), "{}", tap->name());
  return tap;
}

Result<std::unique_ptr<Tap>> Tap::adopt(const std::vector<int>& descriptors) {
  std::string interface;
  std::vector<UniqueFd> queues;
  for (const int fd : descriptors) {
    ifreq request{};
    MOTE_CHECK(ask(fd, request));
    if (!queues.empty() && interface != request.ifr_name) {
      return fail(ErrorKind::kInvalid, "descriptor {} is of interface '{}', the first of '{}'", fd,
                  request.ifr_name, interface);
    }
    interface = request.ifr_name;
    MOTE_TRY(UniqueFd queue, take(fd));
    queues.push_back(std::move(queue));
  }
  std::unique_ptr<Tap> tap(new Tap(std::move(interface), std::move(queues)));
  MOTE_CHECK_WITHIN(tap->prepare(), "{}", tap->name());
  return tap;
}

}  // namespace mote::network

#include "virtio/vsock/unix/backend.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/file.h"
#include "base/log.h"
#include "virtio/vsock/unix/stream.h"

namespace mote::virtio::vsock {
namespace {

// The longest line of a client: CONNECT, a port, and some blanks.
constexpr std::size_t kMaxLine = 32;
// Clients let in at one turn of the loop.
constexpr int kMostAccepts = 64;
// How long no client is let in when the process has no descriptor for one.
constexpr std::chrono::milliseconds kRest{100};

// Empty: the path is too long for an address.
std::optional<sockaddr_un> address_of(std::string_view path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd make_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

const sockaddr* plain(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

std::optional<std::uint32_t> parse_connect(std::string_view line) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  std::array<std::string_view, 2> words;
  for (std::string_view& word : words) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    word = line.substr(0, line.find_first_of(kBlanks));
    line.remove_prefix(word.size());
  }
  if (line.find_first_not_of(kBlanks) != std::string_view::npos) return std::nullopt;
  constexpr std::string_view kConnect = "connect";
  const auto same = [](char a, char b) { return (a | 0x20) == b; };
  if (!std::equal(words[0].begin(), words[0].end(), kConnect.begin(), kConnect.end(), same)) {
    return std::nullopt;
  }
  std::uint32_t port = 0;
  const char* end = words[1].data() + words[1].size();
  const auto [stopped, error] = std::from_chars(words[1].data(), end, port);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return port;
}

UnixBackend::UnixBackend(std::string path, UniqueFd socket, EventLoop& loop, Limits limits)
    : path_(std::move(path)), limits_(limits), loop_(loop), socket_(std::move(socket)) {}

void UnixBackend::make_room(std::size_t connections) {
  constexpr std::uint64_t kOthers = 256;
  const std::uint64_t wanted = connections + Limits{}.half_open + kOthers;
  const std::uint64_t allowed = allow_descriptors(wanted);
  if (allowed >= wanted) return;
  log::warning(
      "vsock: {} open files are allowed (RLIMIT_NOFILE), and all connections take {}; further ones "
      "are refused",
      allowed, wanted);
}

Result<std::unique_ptr<UnixBackend>> UnixBackend::create(const std::string& path, EventLoop& loop,
                                                         Limits limits) {
  const auto address = address_of(path);
  if (!address || path.empty()) {
    return fail(ErrorKind::kInvalid, "'{}' is no path for a Unix socket", path);
  }
  UniqueFd socket = make_socket();
  if (!socket) return fail_errno(errno, "make a Unix socket");
  if (::bind(socket.get(), plain(*address), sizeof *address) < 0) {
    if (errno == EADDRINUSE) {
      return fail(ErrorKind::kInvalid,
                  "'{}' exists already; remove it if nobody uses it any more, or give another path",
                  path);
    }
    return fail_errno(errno, "make the socket '{}'", path);
  }
  std::unique_ptr<UnixBackend> backend(new UnixBackend(path, std::move(socket), loop, limits));
  struct stat status{};
  if (look_at(path, status, AT_SYMLINK_NOFOLLOW)) {
    backend->device_ = status.st_dev;
    backend->inode_ = status.st_ino;
  }
  // Clients that come before the guest's driver wait here.
  if (::listen(backend->socket_.get(), SOMAXCONN) < 0) {
    return fail_errno(errno, "listen on '{}'", path);
  }
  MOTE_TRY(backend->timer_, loop.timer([raw = backend.get()] { raw->tick(); }));
  return backend;
}

UnixBackend::~UnixBackend() {
  if (leaves_name_) return;
  struct stat status{};
  if (look_at(path_, status, AT_SYMLINK_NOFOLLOW) && status.st_dev == device_ &&
      status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

// The guest connects
// ------------------------------------------------------------------------------------------------

Result<std::unique_ptr<HostStream>> UnixBackend::connect(std::uint32_t port) {
  const std::string path = fmt::format("{}_{}", path_, port);
  const auto address = address_of(path);
  if (!address) {
    return fail(ErrorKind::kInvalid, "'{}' is too long for the address of a Unix socket", path);
  }
  UniqueFd socket = make_socket();
  if (!socket) return fail_errno(errno, "make a Unix socket");
  // It is connected at once, or not at all: EAGAIN says that the service's backlog is full.
  if (::connect(socket.get(), plain(*address), sizeof *address) < 0) {
    return fail_errno(errno, "connect to '{}'", path);
  }
  return std::make_unique<UnixStream>(std::move(socket), loop_, false);
}

// Host programs connect
// ------------------------------------------------------------------------------------------------

Result<void> UnixBackend::listen(Newcomer newcomer) {
  newcomer_ = std::move(newcomer);
  MOTE_TRY(listening_,
           loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); }));
  for (auto client = half_open_.begin(); client != half_open_.end(); ++client) wait_for(client);
  return {};
}

void UnixBackend::ignore() {
  newcomer_ = nullptr;
  listening_.cancel();
  for (HalfOpen& client : half_open_) client.watch.cancel();
}

void UnixBackend::accept_some() {
  for (int i = 0; i < kMostAccepts && accept_one(); ++i) {
  }
}

bool UnixBackend::accept_one() {
  UniqueFd fd(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return false;
    ++failed_;
    rest();
    return false;
  }
  HalfOpen client{
      .fd = std::move(fd), .line = {}, .deadline = Clock::now() + limits_.patience, .watch = {}};
  // Most have said what they want by now.
  if (!hear(client)) return true;
  if (half_open_.size() == limits_.half_open) {
    half_open_.pop_front();
    ++failed_;
  }
  if (half_open_.empty() && !resting_) static_cast<void>(timer_.set(limits_.patience));
  half_open_.push_back(std::move(client));
  wait_for(std::prev(half_open_.end()));
  return true;
}

void UnixBackend::wait_for(HalfOpens::iterator client) {
  auto watch = loop_.watch(client->fd.get(), EPOLLIN, [this, client](std::uint32_t) {
    if (hear(*client)) return;
    half_open_.erase(client);
  });
  // Unwatched, it stays silent until its time is up.
  if (watch) client->watch = std::move(*watch);
}

bool UnixBackend::hear(HalfOpen& client) {
  std::array<char, kMaxLine> bytes{};
  const std::size_t room = kMaxLine - client.line.size();
  iovec buffer{bytes.data(), room};
  msghdr message{};
  message.msg_iov = &buffer;
  message.msg_iovlen = 1;
  const ssize_t seen = ::recvmsg(client.fd.get(), &message, MSG_PEEK | MSG_DONTWAIT);
  if (seen < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (seen > 0) {
    // What follows the line is for the guest and stays where it is.
    const std::string_view text(bytes.data(), static_cast<std::size_t>(seen));
    const std::size_t feed = text.find('\n');
    const std::size_t taken = feed == std::string_view::npos ? text.size() : feed + 1;
    const auto line = std::as_writable_bytes(std::span(bytes)).first(taken);
    if (read_next(client.fd.get(), line) == static_cast<ssize_t>(taken)) {
      client.line += text.substr(0, std::min(feed, taken));
      if (feed != std::string_view::npos) {
        introduce(client);
        return false;
      }
      if (client.line.size() < kMaxLine) return true;
    }
  }
  ++failed_;
  return false;
}

void UnixBackend::introduce(HalfOpen& client) {
  const auto port = parse_connect(client.line);
  if (!port) {
    ++failed_;
    log::debug("vsock: a host program asked for '{}'; it must be 'CONNECT' and a port",
               client.line);
    return;
  }
  client.watch.cancel();
  newcomer_(std::make_unique<UnixStream>(std::move(client.fd), loop_, true), *port);
}

void UnixBackend::rest() {
  // The clients that wait would wake the loop again and again.
  listening_.cancel();
  resting_ = true;
  static_cast<void>(timer_.set(kRest));
}

void UnixBackend::tick() {
  const auto now = Clock::now();
  while (!half_open_.empty() && half_open_.front().deadline <= now) {
    half_open_.pop_front();
    ++failed_;
  }
  if (!half_open_.empty()) static_cast<void>(timer_.set(half_open_.front().deadline - now));
  if (!std::exchange(resting_, false) || !newcomer_) return;
  auto watch = loop_.watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
  if (watch) listening_ = std::move(*watch);
}

}  // namespace mote::virtio::vsock

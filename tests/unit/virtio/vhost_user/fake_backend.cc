#include "virtio/vhost_user/fake_backend.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <stdexcept>

namespace mote::virtio::test {

using vhost_user::Request;

namespace {

constexpr std::uint64_t bit(unsigned number) { return std::uint64_t{1} << number; }

template <typename T>
T value_of(const FakeMessage& message) {
  T value{};
  if (message.payload.empty()) return value;
  std::memcpy(&value, message.payload.data(), std::min(sizeof value, message.payload.size()));
  return value;
}

}  // namespace

BackendTraits good_backend() {
  return {.features = kRingFeatures | bit(VIRTIO_BLK_F_FLUSH) | bit(VIRTIO_BLK_F_SEG_MAX) |
                      bit(VIRTIO_BLK_F_CONFIG_WCE) | bit(VIRTIO_BLK_F_MQ),
          .protocol_features = bit(vhost_user::kReplyAck) | bit(vhost_user::kConfig) |
                               bit(vhost_user::kInflight) | bit(vhost_user::kMultiQueue) | bit(1),
          .instead = {}};
}

FakeBackend::FakeBackend(std::string path, std::string& disk, BackendTraits traits)
    : path_(std::move(path)), disk_(disk), traits_(std::move(traits)) {
  ::unlink(path_.c_str());
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(listener_.get(), 4) < 0) {
    throw std::runtime_error("listen at " + path_);
  }
  stop_ = std::move(*make_eventfd());
  thread_ = std::thread([this] { run(); });
}

FakeBackend::~FakeBackend() {
  signal_eventfd(stop_.get());
  thread_.join();
  close_all();
  ::unlink(path_.c_str());
}

std::vector<Request> FakeBackend::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeBackend::close_all() {
  for (const Region& region : regions_) ::munmap(region.host, region.mapped);
  regions_.clear();
  if (notes_ != nullptr) ::munmap(notes_, sizeof(Notes));
  notes_ = nullptr;
  running_ = false;
  connection_.reset();
}

void FakeBackend::run() {
  for (;;) {
    std::array<pollfd, 4> polls{pollfd{stop_.get(), POLLIN, 0}, pollfd{listener_.get(), POLLIN, 0},
                                pollfd{connection_.get(), POLLIN, 0},
                                pollfd{running_ ? kick_.get() : -1, POLLIN, 0}};
    ::poll(polls.data(), polls.size(), -1);
    if (polls[0].revents != 0) return;
    if (polls[1].revents != 0 && !connection_) {
      connection_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    if (polls[2].revents != 0) {
      FakeMessage message;
      if (receive(message)) {
        handle(std::move(message));
      } else {
        close_all();
      }
    }
    if (polls[3].revents != 0 && running_) {
      drain_eventfd(kick_.get());
      serve();
    }
  }
}

bool FakeBackend::receive(FakeMessage& message) {
  std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  iovec part{&message.header, sizeof message.header};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  if (::recvmsg(connection_.get(), &header, MSG_CMSG_CLOEXEC | MSG_WAITALL) !=
      sizeof message.header) {
    return false;
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, reinterpret_cast<char*>(c) + at, sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  message.payload.resize(message.header.size);
  return message.payload.empty() ||
         ::recv(connection_.get(), message.payload.data(), message.payload.size(), MSG_WAITALL) ==
             static_cast<ssize_t>(message.payload.size());
}

void FakeBackend::reply(int fd, Request request, std::span<const std::byte> payload, int with_fd) {
  vhost_user::MessageHeader header{.request = request,
                                   .flags = vhost_user::kVersion | vhost_user::kIsReply,
                                   .size = static_cast<std::uint32_t>(payload.size())};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (with_fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &with_fd, sizeof with_fd);
  }
  static_cast<void>(::sendmsg(fd, &message, MSG_NOSIGNAL));
}

// True: the message was a question.
bool FakeBackend::answer_value(const FakeMessage& message) {
  const auto value = [&](std::uint64_t number) {
    reply(connection_.get(), message.header.request, std::as_bytes(std::span(&number, 1)));
    return true;
  };
  switch (message.header.request) {
    case Request::kGetFeatures:
      return value(traits_.features |
                   (traits_.has_protocol_features ? bit(vhost_user::kProtocolFeaturesBit) : 0));
    case Request::kGetProtocolFeatures:
      return value(traits_.protocol_features);
    case Request::kGetQueueNum:
      return value(4);
    case Request::kGetVringBase: {
      running_ = false;
      const vhost_user::VringState state{.index = 0, .value = next_};
      reply(connection_.get(), Request::kGetVringBase, std::as_bytes(std::span(&state, 1)));
      return true;
    }
    case Request::kGetConfig: {
      auto payload = message.payload;
      virtio_blk_config config{};
      config.capacity = disk_.size() / 512;
      config.seg_max = 126;
      const std::size_t room = payload.size() - sizeof(vhost_user::ConfigHeader);
      std::memcpy(payload.data() + sizeof(vhost_user::ConfigHeader), &config,
                  std::min(room, sizeof config));
      reply(connection_.get(), Request::kGetConfig, payload);
      return true;
    }
    case Request::kGetInflightFd: {
      const UniqueFd fd(::memfd_create("notes", MFD_CLOEXEC));
      if (::ftruncate(fd.get(), sizeof(Notes)) < 0) throw std::runtime_error("ftruncate");
      const vhost_user::InflightRegion region{.size = sizeof(Notes)};
      reply(connection_.get(), Request::kGetInflightFd, std::as_bytes(std::span(&region, 1)),
            fd.get());
      return true;
    }
    default:
      return false;
  }
}

void FakeBackend::handle(FakeMessage message) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(message.header.request);
  }
  if (traits_.instead && traits_.instead(connection_.get(), message)) return;
  if (answer_value(message)) return;
  switch (message.header.request) {
    case Request::kSetFeatures:
      acknowledged_ = value_of<std::uint64_t>(message);
      break;
    case Request::kSetMemTable:
      set_memory(message);
      break;
    case Request::kSetInflightFd:
      set_notes(message);
      break;
    default:
      set_queue(message);
  }
  if ((message.header.flags & vhost_user::kNeedsReply) == 0) return;
  const std::uint64_t fine = 0;
  reply(connection_.get(), message.header.request, std::as_bytes(std::span(&fine, 1)));
}

void FakeBackend::set_memory(const FakeMessage& message) {
  for (const Region& region : regions_) ::munmap(region.host, region.mapped);
  regions_.clear();
  vhost_user::MemoryTable table;
  std::memcpy(&table, message.payload.data(), std::min(sizeof table, message.payload.size()));
  if (table.count != message.fds.size())
    throw std::runtime_error("descriptors of the memory table");
  for (std::uint32_t i = 0; i < table.count; ++i) {
    const auto& region = table.regions[i];
    void* host = ::mmap(nullptr, region.size, PROT_READ | PROT_WRITE, MAP_SHARED,
                        message.fds[i].get(), static_cast<off_t>(region.file_offset));
    if (host == MAP_FAILED) throw std::runtime_error("map guest memory");
    regions_.push_back({region, static_cast<std::byte*>(host), region.size});
  }
}

void FakeBackend::set_notes(FakeMessage& message) {
  void* notes = ::mmap(nullptr, sizeof(Notes), PROT_READ | PROT_WRITE, MAP_SHARED,
                       message.fds.at(0).get(), 0);
  if (notes == MAP_FAILED) throw std::runtime_error("map notes");
  notes_ = static_cast<Notes*>(notes);
}

void FakeBackend::set_queue(FakeMessage& message) {
  const auto state = value_of<vhost_user::VringState>(message);
  switch (message.header.request) {
    case Request::kSetVringNum:
      size_ = state.value;
      break;
    case Request::kSetVringBase:
      next_ = static_cast<std::uint16_t>(state.value);
      break;
    case Request::kSetVringAddr:
      rings_ = value_of<vhost_user::VringAddresses>(message);
      break;
    case Request::kSetVringCall:
      call_ = std::move(message.fds.at(0));
      break;
    case Request::kSetVringKick: {
      kick_ = std::move(message.fds.at(0));
      used_ = at_ours<vring_used>(rings_.used)->idx;
      running_ = true;
      // What the one before had taken comes first, and counts as taken.
      if (notes_ == nullptr) break;
      const std::uint32_t before = notes_->count;
      next_ = static_cast<std::uint16_t>(used_ + before);
      for (std::uint32_t i = 0; i < before && !traits_.holds; ++i) finish(notes_->heads[i]);
      if (!traits_.holds) notes_->count = 0;
      break;
    }
    default:
      break;
  }
}

template <typename T>
T* FakeBackend::at_ours(std::uint64_t address) const {
  for (const Region& region : regions_) {
    if (address - region.region.our_address < region.region.size) {
      return reinterpret_cast<T*>(region.host + (address - region.region.our_address));
    }
  }
  throw std::runtime_error("an address of no region");
}

std::byte* FakeBackend::at_guest(std::uint64_t address) const {
  for (const Region& region : regions_) {
    if (address - region.region.guest_address < region.region.size) {
      return region.host + (address - region.region.guest_address);
    }
  }
  throw std::runtime_error("a guest address of no region");
}

void FakeBackend::serve() {
  const auto* available = at_ours<vring_avail>(rings_.available);
  while (next_ != __atomic_load_n(&available->idx, __ATOMIC_ACQUIRE)) {
    const std::uint16_t head = available->ring[next_ % size_];
    ++next_;
    ++taken_;
    if (notes_ != nullptr && traits_.holds) notes_->heads[notes_->count++] = head;
    if (!traits_.holds) finish(head);
  }
}

// One block request: header, data, status.
void FakeBackend::finish(std::uint16_t head) {
  const auto* table = at_ours<vring_desc>(rings_.descriptors);
  std::vector<vring_desc> chain;
  for (vring_desc d = table[head];; d = table[d.next]) {
    chain.push_back(d);
    if ((d.flags & VRING_DESC_F_NEXT) == 0) break;
  }
  virtio_blk_outhdr header{};
  std::memcpy(&header, at_guest(chain.front().addr), sizeof header);
  std::uint64_t offset = header.sector * 512;
  std::uint32_t written = 1;
  for (std::size_t i = 1; i + 1 < chain.size(); ++i) {
    std::byte* data = at_guest(chain[i].addr);
    if (header.type == VIRTIO_BLK_T_IN) {
      std::memcpy(data, disk_.data() + offset, chain[i].len);
      written += chain[i].len;
    } else {
      std::memcpy(disk_.data() + offset, data, chain[i].len);
    }
    offset += chain[i].len;
  }
  *at_guest(chain.back().addr) = std::byte{VIRTIO_BLK_S_OK};
  auto* used = at_ours<vring_used>(rings_.used);
  used->ring[used_ % size_] = {.id = head, .len = written};
  ++used_;
  __atomic_store_n(&used->idx, used_, __ATOMIC_RELEASE);
  ++served_;
  signal_eventfd(call_.get());
}

}  // namespace mote::virtio::test

#include "snapshot/page_handler.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "base/asked_to_end.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "memory/guest_memory.h"

namespace mote::snapshot {
namespace {

// How long a handler may take for the first pages, and leave faults unread.
constexpr int kPatienceMs = 10'000;
// How long it may leave those unanswered that it has read: it may wait for somebody itself.
constexpr int kAnswerMs = 30'000;
// How often it is looked at what else there may be, while it is waited for.
constexpr int kLookMs = 100;

std::string describe(std::span<const HandledRegion> regions) {
  json::Writer writer;
  writer.begin_array();
  for (const HandledRegion& region : regions) {
    const auto number = [&](std::string_view name, std::uint64_t value) {
      writer.key(name);
      writer.integer(value);
    };
    writer.begin_object();
    number("base_host_virt_addr", region.host);
    number("size", region.size);
    number("offset", region.offset);
    number("page_size", region.page_size);
    // An older name for the same, in bytes as well.
    number("page_size_kib", region.page_size);
    writer.end_object();
  }
  writer.end_array();
  return std::move(writer).take();
}

// Faults of KVM count too, so a userfaultfd for user mode alone would not do.
UniqueFd open_userfaultfd() {
  if (const auto device = open_file("/dev/userfaultfd", O_RDWR)) {
    UniqueFd made(::ioctl(device->get(), USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK));
    if (made) return made;
  }
  return UniqueFd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)));
}

// The process that listens there, to be polled for its end; empty: it cannot be told.
UniqueFd process_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0) return {};
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
}

bool has_ended(const UniqueFd& process) {
  if (!process) return true;
  pollfd look{.fd = process.get(), .events = POLLIN, .revents = 0};
  return ::poll(&look, 1, 0) != 0;
}

// How many pages this process's other threads have got, of whatever kind.
std::int64_t faults_of_others() {
  const auto faults = [](int who) {
    rusage usage{};
    ::getrusage(who, &usage);
    return std::int64_t{usage.ru_minflt} + usage.ru_majflt;
  };
  // Again where this thread has got one in between.
  for (int tries = 0;; ++tries) {
    const std::int64_t own = faults(RUSAGE_THREAD);
    const std::int64_t all = faults(RUSAGE_SELF);
    if (faults(RUSAGE_THREAD) == own || tries == 10) return all - own;
  }
}

// Whether somebody waits for a page, whose fault was read or not, by what the kernel says of a
// userfaultfd in /proc: "pending:\t0\ntotal:\t1\n".
bool says_somebody_waits(int facts) {
  std::array<char, 512> text{};
  const auto count = read_at(facts, std::as_writable_bytes(std::span(text)), 0);
  if (!count) return false;
  constexpr std::string_view kTotal = "total:\t";
  const std::string_view all(text.data(), *count);
  const auto at = all.find(kTotal);
  return at != all.npos && at + kTotal.size() < all.size() && all[at + kTotal.size()] != '0';
}

// Takes what a handler sends, which means nothing. False: it has closed its end.
bool still_open(int socket) {
  std::array<std::byte, 256> ignored;
  const auto read = read_some(socket, ignored);
  return read && (!*read || **read > 0);
}

}  // namespace

Result<std::unique_ptr<PageHandler>> PageHandler::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos) {
    return fail(ErrorKind::kInvalid, "{} is no path of a Unix socket, which has 1 to {} bytes",
                json::quote(path), sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "make a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(errno, "connect to the page-fault handler at {}", json::quote(path));
  }
  return std::unique_ptr<PageHandler>(new PageHandler(path, std::move(socket)));
}

PageHandler::~PageHandler() {
  if (stop_) signal_eventfd(stop_.get());
  watcher_.reset();
}

Result<void> PageHandler::hand_over(std::span<const HandledRegion> regions,
                                    std::span<const std::uintptr_t> first, Lost lost) {
  bool huge_pages = false;
  for (const HandledRegion& region : regions) {
    huge_pages = huge_pages || region.page_size != memory::kPageSize;
  }
  MOTE_CHECK(make_userfaultfd(huge_pages));
  for (const HandledRegion& region : regions) MOTE_CHECK(register_region(region));
  MOTE_CHECK(send(describe(regions)));
  MOTE_CHECK(try_out(first, regions.front().page_size));
  if (auto facts = open_file(fmt::format("/proc/self/fdinfo/{}", userfaultfd_.get()), O_RDONLY)) {
    facts_ = std::move(*facts);
  }
  MOTE_TRY(stop_, make_eventfd());
  if (::fcntl(socket_.get(), F_SETFL, O_NONBLOCK) < 0) return fail_errno(errno, "prepare a socket");
  MOTE_TRY(watcher_,
           Worker::start(ThreadKind::kWorker, [this, lost = std::move(lost)] { watch(lost); }));
  return {};
}

Result<void> PageHandler::make_userfaultfd(bool huge_pages) {
  userfaultfd_ = open_userfaultfd();
  if (!userfaultfd_) {
    return fail_errno(errno,
                      "make a userfaultfd (it takes access to /dev/userfaultfd, CAP_SYS_PTRACE, or "
                      "1 in /proc/sys/vm/unprivileged_userfaultfd)");
  }
  uffdio_api wanted{};
  wanted.api = UFFD_API;
  wanted.features = UFFD_FEATURE_EVENT_REMOVE | (huge_pages ? UFFD_FEATURE_MISSING_HUGETLBFS : 0);
  if (::ioctl(userfaultfd_.get(), UFFDIO_API, &wanted) < 0) {
    return fail_errno(errno, "UFFDIO_API with events of removal{}",
                      huge_pages ? " and huge pages" : "");
  }
  return {};
}

Result<void> PageHandler::register_region(const HandledRegion& region) const {
  uffdio_register wanted{};
  wanted.range = {.start = region.host, .len = region.size};
  wanted.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(userfaultfd_.get(), UFFDIO_REGISTER, &wanted) < 0) {
    return fail_errno(errno, "UFFDIO_REGISTER of {} bytes", region.size);
  }
  return {};
}

Result<void> PageHandler::send(const std::string& message) const {
  iovec part{.iov_base = const_cast<char*>(message.data()), .iov_len = message.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = userfaultfd_.get();
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  const ssize_t sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
  if (sent < 0) return fail_errno(errno, "tell the page-fault handler at {}", json::quote(path_));
  if (static_cast<std::size_t>(sent) < message.size()) {
    return fail(ErrorKind::kIo, "the page-fault handler at {} took {} of {} bytes",
                json::quote(path_), sent, message.size());
  }
  return {};
}

// On a thread of its own, as nothing but the page lets it go on.
Result<void> PageHandler::try_out(std::span<const std::uintptr_t> first,
                                  std::uint64_t page_size) const {
  MOTE_TRY(const UniqueFd done, make_eventfd());
  MOTE_TRY(const auto toucher, Worker::start(ThreadKind::kWorker, [first, &done] {
             for (const std::uintptr_t address : first) {
               static_cast<void>(*reinterpret_cast<const volatile char*>(address));
             }
             signal_eventfd(done.get());
           }));
  const auto given_up = [&](Error why) {
    for (const std::uintptr_t address : first) give_up(address, page_size);
    return std::unexpected(std::move(why));
  };
  std::array<pollfd, 2> events{pollfd{.fd = done.get(), .events = POLLIN, .revents = 0},
                               pollfd{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0}};
  for (int waited = 0; waited < kPatienceMs; waited += kLookMs) {
    const int ready = ::poll(events.data(), events.size(), kLookMs);
    if (ready > 0 && events[0].revents != 0) return {};
    if (ready > 0) {
      // What it brought just before may not have been noticed yet.
      if (::poll(events.data(), 1, kLookMs) > 0) return {};
      return given_up(Error(ErrorKind::kIo,
                            fmt::format("the page-fault handler at {} has gone, before it brought "
                                        "the first pages",
                                        json::quote(path_))));
    }
    if (asked_to_end()) {
      return given_up(Error(ErrorKind::kState,
                            fmt::format("the monitor was asked to end while it waited for the "
                                        "page-fault handler at {}",
                                        json::quote(path_))));
    }
  }
  return given_up(Error(ErrorKind::kIo, fmt::format("the page-fault handler at {} has brought no "
                                                    "page for {} seconds",
                                                    json::quote(path_), kPatienceMs / 1000)));
}

void PageHandler::give_up(std::uintptr_t address, std::uint64_t page_size) const {
  const std::vector<std::byte> zeros(page_size);
  uffdio_copy page{};
  page.dst = address & ~(page_size - 1);
  page.src = reinterpret_cast<std::uintptr_t>(zeros.data());
  page.len = page_size;
  // Where the handler has brought it after all, nobody waits any more.
  static_cast<void>(::ioctl(userfaultfd_.get(), UFFDIO_COPY, &page));
}

void PageHandler::watch(const Lost& lost) const {
  log::name_thread("fc_pages");
  const std::string why = wait_for_loss();
  if (why.empty()) return;
  lost(
      fmt::format("the page-fault handler at {} {}: what it has not brought of the guest's memory "
                  "is lost",
                  json::quote(path_), why));
}

// A handler may close the socket and go on; then its end is its process's. One that was forked off
// the process that listened is known by its socket alone. One that reads no faults, or answers
// none, while somebody waits for a page and nobody got any, is as good as gone.
std::string PageHandler::wait_for_loss() const {
  const UniqueFd process = process_of(socket_.get());
  bool open = true;
  // Since when somebody has waited and nobody got a page; by the clock, as a handler that talks
  // wakes this thread as often as it likes.
  std::optional<std::uint64_t> silent;
  std::int64_t brought = 0;
  while (true) {
    std::array<pollfd, 3> events{
        pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = open ? socket_.get() : process.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = silent ? -1 : userfaultfd_.get(), .events = POLLIN, .revents = 0}};
    // A fault that was read at once has woken nobody here.
    const int idle_ms = facts_ ? kPatienceMs : -1;
    const int ready = ::poll(events.data(), events.size(), silent ? kLookMs : idle_ms);
    if (ready < 0) continue;
    if (events[0].revents != 0) return {};
    if (events[1].revents != 0 && !(open && still_open(socket_.get()))) {
      if (has_ended(process)) return "has ended";
      log::warning("the page-fault handler at {} has closed its socket; its process is still there",
                   json::quote(path_));
      open = false;
    }
    const bool unread = has_unread_faults();
    const bool waits = unread || (facts_ && says_somebody_waits(facts_.get()));
    const std::int64_t now = faults_of_others();
    if (!waits || (silent && now != brought)) {
      silent.reset();
    } else if (!silent) {
      silent = monotonic_ns();
    }
    brought = now;
    constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;
    const std::uint64_t silent_ms =
        silent ? (monotonic_ns() - *silent) / kNanosecondsPerMillisecond : 0;
    if (unread && silent_ms > kPatienceMs) {
      return fmt::format("has read no fault for {} seconds", kPatienceMs / 1000);
    }
    if (silent_ms > kAnswerMs) {
      return fmt::format("has answered no fault for {} seconds", kAnswerMs / 1000);
    }
  }
}

bool PageHandler::has_unread_faults() const {
  pollfd look{.fd = userfaultfd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&look, 1, 0) > 0;
}

}  // namespace mote::snapshot

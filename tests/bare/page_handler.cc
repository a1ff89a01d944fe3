#include "page_handler.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/describe/class.hpp>
#include <cstring>
#include <vector>

#include "base/json_describe.h"

namespace mote::bare {
namespace {

// As the protocol has it.
struct Mapping {
  std::uint64_t base_host_virt_addr = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  std::uint64_t page_size = 0;
  std::uint64_t page_size_kib = 0;
};
BOOST_DESCRIBE_STRUCT(Mapping, (), (base_host_virt_addr, size, offset, page_size, page_size_kib))

[[noreturn]] void give_up(int status) { ::_exit(status); }

// The message, and the descriptor that came with it.
std::pair<std::string, int> receive(int client) {
  std::string text(1 << 16, '\0');
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t count = ::recvmsg(client, &header, 0);
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (count <= 0 || rights == nullptr || rights->cmsg_type != SCM_RIGHTS) give_up(3);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  text.resize(static_cast<std::size_t>(count));
  return {text, fd};
}

// Pages that the monitor has given back are zeros from then on.
struct Removed {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  bool everything = false;
  bool has(std::uint64_t page) const {
    if (everything) return true;
    for (const auto& [start, end] : ranges) {
      if (page >= start && page < end) return true;
    }
    return false;
  }
};

void bring(int uffd, const std::vector<Mapping>& mappings, const std::byte* file,
           std::uint64_t address, const Removed& removed) {
  for (const Mapping& mapping : mappings) {
    if (address < mapping.base_host_virt_addr ||
        address >= mapping.base_host_virt_addr + mapping.size) {
      continue;
    }
    const std::uint64_t page = address & ~(mapping.page_size - 1);
    const std::vector<std::byte> zeros(mapping.page_size);
    uffdio_copy copy{};
    copy.dst = page;
    copy.src = reinterpret_cast<std::uint64_t>(
        removed.has(page) ? zeros.data()
                          : file + mapping.offset + (page - mapping.base_host_virt_addr));
    copy.len = mapping.page_size;
    if (::ioctl(uffd, UFFDIO_COPY, &copy) < 0 && errno != EEXIST && errno != EAGAIN) give_up(4);
    return;
  }
  give_up(5);
}

// The pages that a load touches itself.
constexpr int kPagesOfALoad = 3;

[[noreturn]] void serve(int uffd, const std::vector<Mapping>& mappings, const std::byte* file,
                        Behaviour behaviour) {
  Removed removed{.ranges = {}, .everything = behaviour == Behaviour::kWrongPages};
  for (int faults = 0; behaviour != Behaviour::kNoMore || faults < kPagesOfALoad;) {
    pollfd wait{.fd = uffd, .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, -1);
    uffd_msg event{};
    if (::read(uffd, &event, sizeof event) != sizeof event) continue;
    if (event.event == UFFD_EVENT_REMOVE) {
      removed.ranges.emplace_back(event.arg.remove.start, event.arg.remove.end);
    } else if (event.event == UFFD_EVENT_PAGEFAULT) {
      if (behaviour == Behaviour::kNoAnswers && faults == kPagesOfALoad) continue;
      bring(uffd, mappings, file, event.arg.pagefault.address, removed);
      ++faults;
    }
  }
  while (true) ::pause();
}

[[noreturn]] void handle(int listener, const std::string& memory, Behaviour behaviour) {
  if (behaviour == Behaviour::kTakeNothing) {
    while (true) ::pause();
  }
  const int client = ::accept(listener, nullptr, nullptr);
  if (behaviour == Behaviour::kHangUp) {
    ::close(client);
    while (true) ::pause();
  }
  const auto [text, uffd] = receive(client);
  if (behaviour == Behaviour::kStaySilent) {
    while (true) ::pause();
  }
  const auto mappings = json::read<std::vector<Mapping>>(text);
  if (!mappings) give_up(6);
  const int fd = ::open(memory.c_str(), O_RDONLY);
  struct stat facts{};
  ::fstat(fd, &facts);
  void* const file =
      ::mmap(nullptr, static_cast<std::size_t>(facts.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) give_up(7);
  if (behaviour == Behaviour::kGarbage) {
    static_cast<void>(::write(client, "\x00{\xff garbage", 11));
  }
  serve(uffd, *mappings, static_cast<const std::byte*>(file), behaviour);
}

}  // namespace

PageHandlerProcess::PageHandlerProcess(const std::string& socket, const std::string& memory,
                                       Behaviour behaviour) {
  int ready[2];
  EXPECT_EQ(::pipe(ready), 0);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ::unlink(socket.c_str());
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) give_up(1);
    if (::listen(listener, 1) < 0 || ::write(ready[1], "x", 1) != 1) give_up(2);
    handle(listener, memory, behaviour);
  }
  char byte = 0;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
}

void PageHandlerProcess::end() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

}  // namespace mote::bare

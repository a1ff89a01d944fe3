#include "engine/zygote.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "base/descriptor_passing.h"
#include "engine/child.h"

namespace mote::engine {
namespace {

// What answers a question for a monitor.
struct Said {
  int error = 0;   // an errno
  pid_t pid = -1;  // the monitor's
};

// In the child; never returns. Everything was allocated before the fork.
[[noreturn]] void become(char* const* words, int socket, std::span<const UniqueFd> inherited) {
  begin_session();
  bool ready = ::fcntl(socket, F_SETFD, 0) == 0;
  for (const UniqueFd& fd : inherited) ready = ready && ::fcntl(fd.get(), F_SETFD, 0) == 0;
  if (ready) ::execv(words[0], words);
  ::_exit(127);
}

}  // namespace

Result<Zygote> Zygote::start(const std::string& program, std::span<const UniqueFd> inherited) {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0) {
    return fail_errno(errno, "make a socket for a zygote");
  }
  UniqueFd mine(ends[0]);
  const UniqueFd its(ends[1]);
  const std::vector<std::string> words{program, "--zygote-fd", fmt::format("{}", its.get())};
  const std::vector<char*> arguments = argv_of(words);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "start mote-vmm");
  if (pid == 0) become(arguments.data(), its.get(), inherited);
  return Zygote(std::move(mine), pid);
}

Zygote::Zygote(Zygote&& other) noexcept
    : socket_(std::move(other.socket_)), pid_(std::exchange(other.pid_, -1)) {}

Zygote::~Zygote() {
  socket_.reset();
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
}

Result<UniqueFd> Zygote::make_monitor(const std::vector<std::string>& words, const UniqueFd& input,
                                      const UniqueFd& output) {
  std::string message;
  for (const std::string& word : words) message.append(word).push_back('\0');
  std::array<UniqueFd, 3> streams;
  MOTE_TRY(streams[0], input.duplicate());
  MOTE_TRY(streams[1], output.duplicate());
  MOTE_TRY(streams[2], output.duplicate());
  const std::lock_guard lock(mutex_);
  MOTE_CHECK_WITHIN(send_some(socket_.get(), std::as_bytes(std::span(message)), streams),
                    "ask for a monitor");
  Said said;
  MOTE_TRY(auto answer, receive_some(socket_.get(), std::as_writable_bytes(std::span(&said, 1))));
  if (!answer || answer->bytes != sizeof said) {
    return fail(ErrorKind::kIo, "mote-vmm has ended before it made a monitor");
  }
  if (said.error != 0) return fail_errno(said.error, "make a monitor");
  if (answer->descriptors.size() != 1) {
    // It is there, and would be nobody's. The zygote forgets it with the next question at the
    // earliest, so the number is no other's.
    if (said.pid > 0) ::kill(said.pid, SIGKILL);
    return fail(ErrorKind::kResource, "there is no descriptor left for a monitor's process");
  }
  return std::move(answer->descriptors.front());
}

}  // namespace mote::engine

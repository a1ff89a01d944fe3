#include "engine/tool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/child.h"

namespace mote::engine {
namespace {

constexpr std::size_t kMostOutput = 1 << 16;

// In the child: never returns.
[[noreturn]] void execute(const std::vector<char*>& arguments, int output, int keep) {
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 ||
      ::dup2(output, STDERR_FILENO) < 0 || ::fcntl(keep, F_SETFD, 0) < 0) {
    ::_exit(127);
  }
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

// What a program printed, in one line.
std::string printed(int fd) {
  if (::lseek(fd, 0, SEEK_SET) != 0) return {};
  auto text = read_all(fd, kMostOutput);
  if (!text) return "it printed a lot";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  for (char& letter : *text) {
    if (letter == '\n') letter = ';';
  }
  return std::move(*text);
}

}  // namespace

std::string find_tool(const std::string& name) {
  const char* given = ::getenv("PATH");
  const std::string path =
      std::string(given != nullptr ? given : "/usr/bin:/bin") + ":/usr/sbin:/sbin";
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string candidate = path.substr(begin, end - begin) + "/" + name;
    if (end > begin && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return {};
}

Result<void> run_tool(const std::vector<std::string>& command, const UniqueFd& keep) {
  const std::vector<char*> arguments = argv_of(command);
  const UniqueFd output(::memfd_create("mote-tool", MFD_CLOEXEC));
  if (!output) return fail_errno(errno, "run '{}'", command[0]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno(errno, "run '{}'", command[0]);
  if (child == 0) execute(arguments, output.get(), keep.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno(errno, "wait for '{}'", command[0]);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorKind::kIo, "'{}' {} {}: {}", command[0],
              WIFEXITED(status) ? "ended with status" : "was killed by signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), printed(output.get()));
}

}  // namespace mote::engine

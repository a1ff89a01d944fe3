#include "engine/run.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <ctime>

#include "base/terminal.h"
#include "engine/guest_config.h"
#include "engine/places.h"
#include "engine/root_image.h"
#include "engine/vm_config.h"

namespace mote::engine {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::size_t kMaxInitSize = 16 << 20;

Result<void> check_machine(const RunOptions& options) {
  if (options.cpus < 1 || options.cpus > kMaxCpus) {
    return fail(ErrorKind::kInvalid, "--cpus {}: it must be 1 to {}", options.cpus, kMaxCpus);
  }
  if (options.memory < kLeastMemory || options.memory % kMiB != 0) {
    return fail(
        ErrorKind::kInvalid,
        "--memory: {} bytes are no size for a guest; it must be whole MiB, and {}M at least",
        options.memory, kLeastMemory / kMiB);
  }
  return {};
}

// The command gets a terminal where both of our streams are one.
std::optional<Terminal> find_terminal() {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) return std::nullopt;
  Terminal terminal;
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
    terminal.rows = size.ws_row;
    terminal.columns = size.ws_col;
  }
  terminal.term = process_environment("TERM").value_or("");
  return terminal;
}

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// The descriptors of what a guest is made of. mote-vmm opens them by number: what the user named is
// opened once, here, where a mistake is told in the user's words.
struct Parts {
  UniqueFd kernel;
  UniqueFd initramfs;
  RootImage root;
};

Result<UniqueFd> make_guest_initramfs(const GuestConfig& config) {
  MOTE_TRY(const std::string init, sibling_program("mote-init"));
  MOTE_TRY(const UniqueFd file, open_file(init, O_RDONLY));
  MOTE_TRY(const std::string content, read_all(file.get(), kMaxInitSize));
  return make_memory_file("mote-initramfs", make_initramfs(content, config));
}

Result<Parts> gather(const RunOptions& options, GuestConfig& guest) {
  std::string kernel_path;
  if (options.kernel) {
    kernel_path = *options.kernel;
  } else {
    MOTE_TRY(kernel_path, default_kernel(process_environment));
  }
  auto kernel = open_file(kernel_path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!kernel) return std::unexpected(std::move(kernel.error()).within("--kernel"));
  auto root = RootImage::open(options.rootfs);
  if (!root) return std::unexpected(std::move(root.error()).within("--rootfs"));
  guest.root = root->file_system();
  MOTE_TRY(UniqueFd initramfs, make_guest_initramfs(guest));
  return Parts{std::move(*kernel), std::move(initramfs), std::move(*root)};
}

}  // namespace

Result<Outcome> run(const RunOptions& options) {
  MOTE_CHECK(check_machine(options));
  GuestConfig guest{.command = options.command,
                    .environment = options.environment,
                    .workdir = options.workdir,
                    .hostname = options.hostname,
                    .root = {},
                    .terminal = find_terminal(),
                    .time_ns = now_ns()};
  MOTE_CHECK(check(guest));
  MOTE_TRY(const std::string program, sibling_program("mote-vmm"));
  MOTE_TRY(const Parts parts, gather(options, guest));
  const VmPlan plan{.kernel = path_of(parts.kernel),
                    .initrd = path_of(parts.initramfs),
                    .root_image = fmt::format("/proc/self/fd/{}", parts.root.fd()),
                    .cpus = options.cpus,
                    .memory_mib = options.memory / kMiB,
                    .show_console = options.console,
                    .kernel_arguments = options.kernel_arguments};
  block_session_signals();
  std::optional<RawTerminal> terminal;
  if (guest.terminal) {
    MOTE_TRY(terminal, RawTerminal::enter(STDIN_FILENO, RawTerminal::Output::kRaw));
  }
  MOTE_TRY(const Monitor monitor,
           Monitor::start(
               {.program = program,
                .config = vm_config_json(plan),
                .descriptors = {parts.kernel.get(), parts.initramfs.get(), parts.root.fd()}}));
  return Session::run(monitor, options.console);
}

}  // namespace mote::engine

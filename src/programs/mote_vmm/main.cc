// mote-vmm: one microVM, from a configuration file or by its API.
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <span>

#include "api/firecracker/config_file.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/standard_streams.h"
#include "base/thread_guard.h"
#include "programs/mote_vmm/arguments.h"
#include "programs/mote_vmm/client_lines.h"
#include "programs/mote_vmm/confinement.h"
#include "programs/mote_vmm/ending.h"
#include "programs/mote_vmm/last_words.h"
#include "programs/mote_vmm/monitor.h"
#include "programs/mote_vmm/serve.h"
#include "programs/mote_vmm/signals.h"
#include "programs/mote_vmm/streams.h"
#include "programs/mote_vmm/zygote.h"
#include "snapshot/state_file.h"

namespace mote::vmm {
namespace {

int refuse(int status, const Error& error) {
  fmt::print(stderr, "mote-vmm: {}\n", error.text());
  log::error("{}", error.text());
  return status;
}

// A descriptor that a flag names, which has to be open and is not for children.
Result<void> take_descriptor(const char* flag, std::optional<int> fd) {
  if (!fd || ::fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0) return {};
  return fail_errno(errno, "{} {}: no such descriptor is open", flag, *fd);
}

Result<void> take_descriptors(const Arguments& arguments) {
  MOTE_CHECK(take_descriptor("--console-fd", arguments.console_fd));
  MOTE_CHECK(take_descriptor("--end-fd", arguments.end_fd));
  MOTE_CHECK(take_descriptor("--zygote-fd", arguments.zygote_fd));
  for (const int fd : arguments.load_fd) MOTE_CHECK(take_descriptor("--load-fd", fd));
  return {};
}

// The log goes to standard output as Firecracker's does, unless that is the guest's command's. 0,
// or what to exit with.
int set_up_log(const Arguments& arguments) {
  log::configure({.id = arguments.id});
  if (arguments.stdio_uart) log_to_standard_error();
  const auto config = logger_config(arguments);
  if (!config) return refuse(kExitBadConfiguration, config.error());
  const auto done = api::firecracker::apply(*config);
  return done ? kExitOk : refuse(kExitError, done.error());
}

// Where the flag or the configuration file says; both are one too many.
Result<void> open_metrics(const Arguments& arguments,
                          const std::optional<api::firecracker::MetricsConfig>& section,
                          api::firecracker::Metrics& metrics) {
  if (arguments.metrics_path) {
    MOTE_CHECK_WITHIN(metrics.open({.metrics_path = *arguments.metrics_path}), "--metrics-path");
  }
  if (section) MOTE_CHECK_WITHIN(metrics.open(*section), "metrics");
  return {};
}

// The format of the state file at `path`, damaged ones apart.
Result<std::string> describe_snapshot(const std::string& path) {
  MOTE_TRY(const std::string text, snapshot::read_bytes_of(path));
  const auto bytes = std::as_bytes(std::span(text));
  MOTE_TRY(const snapshot::Header header, snapshot::read_header(bytes));
  if (header.major == snapshot::kFormatMajor) MOTE_CHECK(snapshot::read_state_file(bytes));
  return snapshot::version_text(header.major, header.minor);
}

// Without an API: what the configuration file says, and nothing else.
Result<devices::End> run_file(const Arguments& arguments, devices::BootTimer::Start start) {
  MOTE_CHECK(confine_for_setup(/*served=*/false));
  // What is wrong with the configuration is told before what the host lacks.
  auto head_start = machine::HeadStart::make();
  MOTE_TRY(auto file, api::firecracker::read_config_file(*arguments.config_file));
  MonitorSettings settings;
  settings.config = std::move(file.vm);
  MOTE_TRY(const Streams streams, wire_streams(arguments, settings.config));
  settings.board.com1 = streams.com1;
  settings.board.com2 = streams.com2;
  settings.terminal = streams.terminal;
  // Before the section `logger`, which may name a file.
  const auto& console = settings.config.console;
  if (console && virtio::uses_stdio(*console) && !arguments.log_path) log_to_standard_error();
  if (file.logger) MOTE_CHECK(api::firecracker::apply(*file.logger));
  api::firecracker::Metrics metrics(arguments.id);
  MOTE_CHECK(open_metrics(arguments, file.metrics, metrics));
  if (metrics.is_open()) write_faults_to(metrics);
  settings.metrics = &metrics;
  settings.metadata = arguments.metadata;
  settings.metadata_limit = metadata_limit(arguments);
  settings.allow_path = arguments.allow_path;
  settings.end_fd = arguments.end_fd.value_or(-1);
  settings.board.pit = !arguments.no_pit;
  settings.board.exit_port = arguments.exit_port;
  if (arguments.boot_timer) settings.board.boot_timer = start;
  MOTE_TRY(settings.head_start, std::move(head_start));
  return run_monitor(std::move(settings));
}

int run(std::string_view argv0, std::span<const char* const> words,
        devices::BootTimer::Start start) {
  const auto arguments = parse(words);
  if (!arguments) return refuse(kExitBadArguments, arguments.error());
  if (arguments->help || arguments->version) {
    fmt::print("{}", arguments->help ? help(argv0) : version(argv0));
    return kExitOk;
  }
  // What this process knows, its guest's secrets, is for nobody else of this user, nor for a core
  // file. Without filters it is to be looked into.
  if (!arguments->no_seccomp) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (const int status = set_up_log(*arguments); status != kExitOk) return status;
  if (arguments->snapshot_version) {
    fmt::print("v{}\n", snapshot::version_text(snapshot::kFormatMajor, snapshot::kFormatMinor));
    return kExitOk;
  }
  if (arguments->describe_snapshot) {
    const auto version = describe_snapshot(*arguments->describe_snapshot);
    if (!version) return refuse(kExitError, version.error());
    fmt::print("v{}\n", *version);
    return kExitOk;
  }
  if (const auto open = take_descriptors(*arguments); !open)
    return refuse(kExitBadArguments, open.error());
  if (arguments->zygote_fd) {
    const auto served = serve_zygote(*arguments->zygote_fd, [argv0](auto its_words) {
      return run(argv0, its_words, devices::BootTimer::now());
    });
    return served ? kExitOk : refuse(kExitError, served.error());
  }
  if (arguments->die_with_parent && ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    return refuse(kExitError, fail_errno(errno, "--die-with-parent").error());
  }
  if (const std::string_view name = acts_as(argv0); !name.empty()) client_lines::begin(name);
  if (const auto confined = confine(*arguments); !confined) {
    return refuse(kExitError, confined.error());
  }
  const bool by_file = arguments->no_api && !arguments->load;
  const auto end = by_file ? run_file(*arguments, start) : serve(*arguments);
  if (end) return exit_status(*end);
  if (by_file) client_lines::file_failed(end.error());
  return refuse(kExitError, end.error());
}

}  // namespace
}  // namespace mote::vmm

int main(int argc, char** argv) {
  const auto start = mote::devices::BootTimer::now();
  // One arena for all threads: a monitor allocates little, and each arena more is memory of its
  // own.
  ::mallopt(M_ARENA_MAX, 1);
  mote::note_heap_start();
  mote::note_thread();
  mote::vmm::Signals::block();
  mote::vmm::tell_faults();
  if (const auto held = mote::hold_standard_streams(); !held) {
    return mote::vmm::refuse(mote::vmm::kExitError, held.error());
  }
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  if (words.empty()) return mote::vmm::run("", words, start);
  return mote::vmm::run(words.front(), words.subspan(1), start);
}

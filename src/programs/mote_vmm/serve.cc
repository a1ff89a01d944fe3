#include "programs/mote_vmm/serve.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "api/firecracker/api.h"
#include "api/firecracker/config_file.h"
#include "api/firecracker/controller.h"
#include "api/firecracker/live_machine.h"
#include "api/firecracker/load_text.h"
#include "api/http/thread.h"
#include "base/event_loop.h"
#include "base/json.h"
#include "base/log.h"
#include "base/terminal.h"
#include "metadata/store.h"
#include "programs/mote_vmm/client_lines.h"
#include "programs/mote_vmm/confinement.h"
#include "programs/mote_vmm/ending.h"
#include "programs/mote_vmm/file_rules.h"
#include "programs/mote_vmm/last_words.h"
#include "programs/mote_vmm/signals.h"
#include "programs/mote_vmm/streams.h"

namespace mote::vmm {
namespace {

using api::firecracker::Controller;
using api::firecracker::LiveMachine;
using api::firecracker::RealMachine;
using api::firecracker::SnapshotLoad;
using devices::End;

std::uint64_t microseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

class Service {
 public:
  Service(EventLoop& loop, const Arguments& arguments)
      : loop_(loop),
        arguments_(arguments),
        metadata_(metadata_limit(arguments)),
        controller_(loop, metadata_,
                    {.id = arguments.id,
                     .app_name = client_lines::expected() ? "Firecracker" : "mote-vmm",
                     .version = MOTE_VERSION,
                     .make_machine =
                         [this](const machine::VmConfig& config,
                                const api::firecracker::SerialConfig& serial) {
                           return make_machine(config, serial, {});
                         },
                     .restore_machine =
                         [this](const machine::VmConfig& config,
                                const api::firecracker::SerialConfig& serial,
                                machine::RestoreSource source, const machine::MachineState& state) {
                           return make_machine(config, serial, Saved{&source, &state});
                         },
                     .pages_lost = [this](const std::string& what) { end_at_once(what); }}),
        api_(loop, controller_) {}
  // Whoever waits for an answer gets one.
  ~Service() {
    loop_.close();
    server_.reset();
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Opens the socket, and does what the files say that flags name.
  Result<void> start();
  // Until the end.
  Result<End> run() REQUIRES(machine::kMachineThread);

 private:
  // What a machine is made of that was saved.
  struct Saved {
    machine::RestoreSource* source;
    const machine::MachineState* state;
  };
  Result<std::unique_ptr<LiveMachine>> make_machine(const machine::VmConfig& config,
                                                    const api::firecracker::SerialConfig& serial,
                                                    std::optional<Saved> saved);
  std::unexpected<Error> refuse_config(Error error) const;
  Result<void> load_config(const std::string& text);
  // What --load says. Nobody can let it go on later where there is no API.
  Result<SnapshotLoad> wanted_load() const;
  // Gives up what a machine that is made has no need of any more.
  Result<void> confine_machine(const machine::VmConfig& config);
  Result<void> start_server();
  // Does what the flags say that ask for a machine, or for one to be made ahead.
  Result<void> start_wanted(const std::string& config_text, std::optional<SnapshotLoad> load);
  void note_start();
  void take_signal(int signal);
  void end(const End& end);
  // From any thread, while the machine's may wait for what never comes.
  [[noreturn]] void end_at_once(const std::string& what);

  EventLoop& loop_;
  const Arguments& arguments_;
  // Started behind a shell (`mote-vmm ... &`), which goes on reading the terminal.
  const bool in_background_ = has_another_job(STDIN_FILENO);
  metadata::Store metadata_;
  Controller controller_;
  api::firecracker::Api api_;
  std::unique_ptr<api::http::ServerThread> server_;
  std::optional<Signals> signals_;
  std::optional<RawTerminal> terminal_;
  std::optional<End> ended_;
  // Without an API: the memory file beside which it is noted what a load should bring in first.
  std::optional<std::string> noted_beside_;
};

Result<std::unique_ptr<LiveMachine>> Service::make_machine(
    const machine::VmConfig& config, const api::firecracker::SerialConfig& serial,
    std::optional<Saved> saved) {
  MOTE_TRY(Streams streams, wire_streams(arguments_, config));
  if (in_background_ && streams.com1.input >= 0) {
    log::info("The terminal is another job's: the guest gets no input");
    streams.com1.input = streams.terminal = -1;
  }
  if (config.console && virtio::uses_stdio(*config.console) && !arguments_.log_path)
    log_to_standard_error();
  machine::MachineOptions options;
  options.board.com1 = streams.com1;
  options.board.com2 = streams.com2;
  options.board.pit = !arguments_.no_pit;
  options.board.exit_port = arguments_.exit_port;
  if (arguments_.boot_timer) options.board.boot_timer = devices::BootTimer::now();
  options.metadata = &metadata_;
  options.metadata_metrics = &controller_.metrics().counts.mmds;
  options.on_end = [this](const End& end) { this->end(end); };
  MOTE_TRY(auto machine, saved ? RealMachine::restore(loop_, config, serial, std::move(options),
                                                      std::move(*saved->source), *saved->state)
                               : RealMachine::boot(loop_, config, serial, std::move(options)));
  // Last, so that a machine that cannot be made leaves the terminal as it was.
  const bool has_terminal = streams.com1.input < 0 || !serial.serial_out_path;
  MOTE_TRY(terminal_, RawTerminal::enter(has_terminal ? streams.terminal : -1));
  MOTE_CHECK(confine_machine(config));
  return machine;
}

Result<void> Service::confine_machine(const machine::VmConfig& config) {
  if (!arguments_.no_api) return confine_further(config, /*served=*/true);
  std::vector<std::string> allowed = arguments_.allow_path;
  if (noted_beside_) allowed.push_back(directory_of(*noted_beside_));
  MOTE_CHECK(give_up_files(allowed, config));
  return confine_further(config, noted_beside_.has_value());
}

Result<SnapshotLoad> Service::wanted_load() const {
  MOTE_TRY(SnapshotLoad load, api::firecracker::read_load(*arguments_.load));
  for (const int fd : arguments_.load_fd) load.descriptors.emplace_back(fd);
  if (arguments_.no_api && !load.resume_vm) {
    return fail(ErrorKind::kInvalid,
                "with --no-api nobody can resume it later: \"resume_vm\" must be true");
  }
  return load;
}

Result<void> Service::load_config(const std::string& text) {
  MOTE_TRY(auto file, api::firecracker::parse_config(text));
  // Its section `logger` may lead the log elsewhere: who reads it here learns first that there is
  // an API.
  server_->await_start();
  MOTE_CHECK(controller_.load(std::move(file)));
  MOTE_CHECK(controller_.start());
  controller_.go_on();
  return {};
}

Result<void> Service::start_server() {
  if (arguments_.no_api) return confine_for_setup(/*served=*/true);
  // As early as can be: clients that look for the socket wait for its answer from here on.
  MOTE_TRY(auto listener, api::http::listen_at(arguments_.api_sock));
  MOTE_CHECK(confine_for_setup(/*served=*/true));
  MOTE_CHECK(enter_file_rules(arguments_));
  MOTE_TRY(server_,
           api::http::ServerThread::start(
               std::move(listener), {.body = arguments_.http_api_max_payload_size},
               [this](api::http::Request&& request) { return api_.handle(std::move(request)); }));
  return {};
}

void Service::note_start() {
  api::firecracker::ApiServerMetrics& times = controller_.metrics().counts.api_server;
  // What a flag says may be any number: differences are taken modulo 2^64, as it was once.
  if (arguments_.start_time_us) {
    times.process_startup_time_us = microseconds(CLOCK_MONOTONIC) - *arguments_.start_time_us;
    log::info("The process took {} us to start", times.process_startup_time_us.load());
  }
  if (arguments_.start_time_cpu_us) {
    times.process_startup_time_cpu_us = microseconds(CLOCK_PROCESS_CPUTIME_ID) -
                                        *arguments_.start_time_cpu_us +
                                        arguments_.parent_cpu_time_us.value_or(0);
    log::info("The process used {} us of CPU time to start",
              times.process_startup_time_cpu_us.load());
  }
}

std::unexpected<Error> Service::refuse_config(Error error) const {
  Error told = std::move(error).within(
      fmt::format("configuration file {}", json::quote(*arguments_.config_file)));
  client_lines::file_failed(told);
  return std::unexpected(std::move(told));
}

Result<void> Service::start() {
  std::string config;
  if (arguments_.config_file) {
    // Nothing else is done before it could be read.
    auto text = api::firecracker::read_config_text(*arguments_.config_file);
    if (!text) return refuse_config(std::move(text.error()));
    config = std::move(*text);
  }
  std::optional<SnapshotLoad> load;
  if (arguments_.load) {
    auto wanted = wanted_load();
    if (!wanted) return std::unexpected(std::move(wanted.error()).within("--load"));
    load = std::move(*wanted);
    if (load->prefetch && load->mem_backend) noted_beside_ = load->mem_backend->backend_path;
    if (load->prefetch && load->mem_file_path) noted_beside_ = load->mem_file_path;
  }
  if (arguments_.metadata)
    MOTE_CHECK_WITHIN(open_file(*arguments_.metadata, O_RDONLY), "--metadata");
  if (arguments_.metrics_path) {
    MOTE_CHECK_WITHIN(controller_.metrics().open({.metrics_path = *arguments_.metrics_path}),
                      "--metrics-path");
  }
  write_faults_to(controller_.metrics());
  MOTE_CHECK(start_server());
  MOTE_TRY(signals_, Signals::watch(loop_, [this](int signal) { take_signal(signal); }));
  note_start();
  if (arguments_.metadata) {
    MOTE_CHECK_WITHIN(metadata_.put_file(*arguments_.metadata), "--metadata");
  }
  return start_wanted(config, std::move(load));
}

Result<void> Service::start_wanted(const std::string& config_text,
                                   std::optional<SnapshotLoad> load) {
  if (arguments_.shell) {
    auto shell =
        machine::Shell::make(static_cast<unsigned>(arguments_.shell_vcpu_count.value_or(1)),
                             arguments_.shell_mem_size_mib.value_or(128));
    if (!shell) return std::unexpected(std::move(shell.error()).within("--shell"));
    controller_.keep(std::move(*shell));
  }
  if (load) {
    MOTE_CHECK(controller_.load_snapshot(std::move(*load)));
    controller_.go_on();
  }
  if (arguments_.config_file) {
    auto loaded = load_config(config_text);
    if (!loaded) return refuse_config(std::move(loaded.error()));
    client_lines::file_started();
  }
  return {};
}

void Service::take_signal(int signal) {
  machine::kMachineThread.assert_held();
  auto* const machine = static_cast<RealMachine*>(controller_.machine());
  count_signal(controller_.metrics().counts, signal);
  if (signal == SIGWINCH) {
    auto* const console = machine != nullptr ? machine->find<virtio::Console>() : nullptr;
    if (console != nullptr) console->window_changed();
  } else if (machine != nullptr) {
    machine->machine().end(end_by_signal(signal));
  } else {
    // What nobody started has no last line otherwise.
    if (status_of_signal(signal) != 0) controller_.metrics().flush();
    end(end_by_signal(signal));
  }
}

void Service::end(const End& end) {
  ended_ = end;
  loop_.stop();
}

void Service::end_at_once(const std::string& what) {
  fmt::print(stderr, "mote-vmm: {}\n", what);
  tell({.reason = devices::EndReason::kError, .status = kExitError, .message = what},
       arguments_.end_fd.value_or(-1));
  terminal_.reset();
  ::_exit(kExitError);
}

Result<End> Service::run() {
  MOTE_CHECK(loop_.run());
  // Whoever waits for an answer gets one before the process ends.
  loop_.close();
  server_.reset();
  controller_.metrics().stop();
  terminal_.reset();
  if (auto* const machine = static_cast<RealMachine*>(controller_.machine())) {
    close_devices(machine->machine());
  }
  tell(*ended_, arguments_.end_fd.value_or(-1));
  if constexpr (kKernelTakesDown) ::_exit(exit_status(*ended_));
  return *ended_;
}

}  // namespace

Result<End> serve(const Arguments& arguments) {
  machine::kMachineThread.assert_held();
  if (!arguments.no_api) {
    log::info("mote-vmm v{} serves its API at {}", MOTE_VERSION, json::quote(arguments.api_sock));
  }
  MOTE_TRY(const auto loop, EventLoop::create());
  Service service(*loop, arguments);
  MOTE_CHECK(service.start());
  return service.run();
}

}  // namespace mote::vmm

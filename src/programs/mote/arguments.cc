#include "programs/mote/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/size.h"

namespace mote::cli {
namespace {

constexpr const char* kRunFooter =
    "All together: mote run --rootfs DIR|IMAGE [OPTION...] -- COMMAND [ARG...]\n\n"
    "The command's output (standard error merged into it) and status are mote's own. Statuses of "
    "mote: 125 it could not be run, 126 it is not executable, 127 it was not found, 128+N signal N "
    "ended it.\n"
    "A directory is copied into an image first, in TMPDIR. The root is never written: what the "
    "command writes goes with the microVM.";

// What CLI11 fills, in its types.
struct Values {
  engine::RunOptions run;
  std::string kernel;
  std::string memory = "512M";
  std::string workdir;
  std::string hostname;
  Doctor doctor;
  Metrics metrics;
  Api api;
  Snapshot snapshot;
  Fork fork;
  Pool pool;
  std::string pool_memory = "128M";
  Layer layer;
  std::string layer_size;
  std::string layer_cluster;
  SeccompShow seccomp_show;
  SeccompCompile seccomp_compile;
};

void describe_run(CLI::App& app, Values& values) {
  app.footer(kRunFooter);
  app.add_option("--rootfs", values.run.rootfs,
                 "The root: a directory, or a raw image of ext4, squashfs or erofs")
      ->required()
      ->type_name("DIR|IMAGE");
  app.add_option("--kernel", values.kernel,
                 "The guest's kernel (default: $MOTE_KERNEL, else the one that quickstart built)")
      ->type_name("FILE");
  app.add_option("--cpus", values.run.cpus, "Processors, 1 to 32")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--memory", values.memory, "Memory, as 512M or 2G")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("--env", values.run.environment, "A variable for the command; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("--workdir", values.workdir, "The command's directory; made when missing")
      ->type_name("PATH");
  app.add_option("--hostname", values.hostname, "The guest's name (default: mote)")
      ->type_name("NAME");
  app.add_option("--kernel-args", values.run.kernel_arguments,
                 "Appended to the kernel's command line")
      ->type_name("ARGS");
  app.add_flag("--console", values.run.console, "Show the kernel's messages on standard error");
}

void describe_doctor(CLI::App& app, Doctor& doctor) {
  app.footer(
      "Exit status: 0 when everything needed is there, and with --production nothing is unsafe; "
      "else 1. With --probe always 0.");
  auto* probe =
      app.add_flag("--probe", doctor.probe, "Only say what KVM is: usable, unusable or absent");
  app.add_flag("--json", doctor.json, "Answer in JSON")->excludes(probe);
  app.add_flag("--production", doctor.production,
               "Also say whether microVMs that do not trust one another may share this host")
      ->excludes(probe);
}

void describe_api(CLI::App& app, engine::ApiRequest& request) {
  app.footer(
      "Prints the answer's body. Exit status: 0 when the answer is a 2xx, 1 when it is another, 2 "
      "when there is none.");
  // parse_api() takes what is whole; these are for the help and for what is missing.
  app.add_option("SOCKET", request.socket, "The monitor's socket, as its --api-sock says")
      ->required();
  app.add_option("METHOD", request.method, "GET, PUT, PATCH or DELETE")->required();
  app.add_option("PATH", request.path, "Such as /vm/config")->required();
  app.add_option("BODY", request.body, "JSON; - reads it from standard input");
}

void describe_metrics(CLI::App& app, Metrics& metrics) {
  app.footer("Prints every counter of the monitor. Exit status: 0, 2 when there is no answer.");
  app.add_option("SOCKET", metrics.socket, "The monitor's socket, as its --api-sock says")
      ->required();
  app.add_flag("--prometheus", metrics.prometheus, "As text that Prometheus reads, not as JSON");
}

void describe_snapshot(CLI::App& app, Snapshot& snapshot) {
  app.require_subcommand(1);
  const auto add = [&](const char* name, Snapshot::What what, const char* help) {
    CLI::App* const command = app.add_subcommand(name, help);
    command->parse_complete_callback([&snapshot, what] { snapshot.what = what; });
    return command;
  };
  CLI::App* const version =
      add("version", Snapshot::What::kVersion, "Print the format that a state file is of");
  version->add_option("STATE", snapshot.first, "The state file")->required();
  CLI::App* const inspect = add("inspect", Snapshot::What::kInspect,
                                "Print what a state file says, or a part such as machine.vcpus");
  inspect->add_option("STATE", snapshot.first, "The state file")->required();
  inspect->add_option("PART", snapshot.second, "Only what is there");
  inspect->add_flag("--json", snapshot.json, "All of it, as JSON");
  CLI::App* const diff =
      add("diff", Snapshot::What::kDiff, "Print in what two state files differ; status 1: they do");
  diff->add_option("ONE", snapshot.first, "A state file")->required();
  diff->add_option("OTHER", snapshot.second, "Another one")->required();
  CLI::App* const rebase =
      add("rebase", Snapshot::What::kRebase, "Lay a memory file of changes over the one of before");
  rebase->add_option("BASE", snapshot.first, "The memory file that is to have them")->required();
  rebase->add_option("DIFF", snapshot.second, "The memory file of the changes")->required();
}

void describe_layer(CLI::App& app, Values& values) {
  app.require_subcommand(1);
  Layer& layer = values.layer;
  const auto add = [&](const char* name, Layer::What what, const char* help) {
    CLI::App* const command = app.add_subcommand(name, help);
    command->parse_complete_callback([&layer, what] { layer.what = what; });
    return command;
  };
  CLI::App* const create = add("create", Layer::What::kCreate, "Make a layer that holds nothing");
  create->add_option("LAYER", layer.path, "Where nothing is yet")->required();
  create->add_option("BELOW", layer.files,
                     "What it lies on, lowest first: a raw image, then sealed layers");
  create
      ->add_option("--size", values.layer_size,
                   "The disk's size, as 10G (default: of what it lies on)")
      ->type_name("SIZE");
  create
      ->add_option("--cluster", values.layer_cluster,
                   "4K to 64K (default: 4K up to 127G, more for larger disks)")
      ->type_name("SIZE");
  CLI::App* const info = add("info", Layer::What::kInfo, "Print what a layer says of itself");
  info->add_option("LAYER", layer.path, "The layer")->required();
  info->add_flag("--json", layer.json, "As JSON");
  CLI::App* const check =
      add("check", Layer::What::kCheck, "Read all of a layer's map; status 1: something is wrong");
  check->add_option("LAYER", layer.path, "The layer")->required();
  check->add_option("BELOW", layer.files, "What it is to lie on, lowest first");
  CLI::App* const commit =
      add("commit", Layer::What::kCommit, "Make one raw image of an image and the layers on it");
  commit->add_option("IMAGE", layer.path, "The image that is made")->required();
  commit->add_option("LAYERS", layer.files, "A raw image, then sealed layers, lowest first")
      ->required();
}

Result<Request> finish_layer(Values values) {
  if (!values.layer_size.empty()) {
    MOTE_TRY(values.layer.size, engine::parse_size(values.layer_size));
  }
  if (!values.layer_cluster.empty()) {
    MOTE_TRY(values.layer.cluster, engine::parse_size(values.layer_cluster));
  }
  return std::move(values.layer);
}

// `mote seccomp show`, and `mote seccomp compile` with the flags of Firecracker's seccompiler-bin.
void describe_seccomp(CLI::App& app, Values& values) {
  app.require_subcommand(1);
  CLI::App* const show =
      app.add_subcommand("show", "Print which system calls mote-vmm's threads may make, and why");
  show->add_option("THREAD", values.seccomp_show.thread,
                   "setup, launch, vmm, served, api, vcpu or worker (default: all)");
  show->add_flag("--json", values.seccomp_show.json, "As JSON, with each argument's comparison");
  SeccompCompile& compile = values.seccomp_compile;
  CLI::App* const command =
      app.add_subcommand("compile", "Make a file for mote-vmm's --seccomp-filter");
  command->footer(
      "A FILE holds rules as `mote seccomp show` prints them, or Firecracker's JSON; several are "
      "added up.");
  command->add_option("--input-file,FILE", compile.inputs, "What to make it of; may be repeated")
      ->required()
      ->type_name("FILE");
  command->add_option("--output-file", compile.output, "Where to write it")
      ->type_name("FILE")
      ->default_str("seccomp_binary_filter.out");
  command
      ->add_option("--target-arch", compile.architecture,
                   "x86_64 or aarch64 (default: this machine's)")
      ->type_name("ARCH");
  command->add_flag("--split-output", compile.split,
                    "Write the bare program of each thread to <output file>.<thread>");
}

void describe_fork(CLI::App& app, engine::ForkOptions& options) {
  app.footer(
      "Prints the socket of each child. Exit status: 0; 1 when some children are none; 2 when the "
      "microVM cannot be forked.");
  app.add_option("SOCKET", options.socket, "The monitor's socket, as its --api-sock says")
      ->required();
  auto* const into = app.add_option("--into", options.into,
                                    "A monitor or shell that gets a child; may be repeated")
                         ->type_name("SOCKET")
                         ->allow_extra_args(false);
  app.add_option("-n,--count", options.count, "How many children (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 10000))
      ->excludes(into);
  app.add_option("--directory", options.directory,
                 "Where their sockets are to be, and what they print")
      ->type_name("DIR")
      ->excludes(into);
  app.add_option("--pool", options.pool, "Take shells from this pool, as long as it has some")
      ->type_name("DIR")
      ->excludes(into);
  app.add_option("--with", options.with,
                 "Further fields of PUT /snapshot/load; {n} is the child's number")
      ->type_name("JSON");
  app.add_flag("--paused", options.paused, "The children wait to be resumed");
}

void describe_pool(CLI::App& app, Values& values) {
  app.footer(
      "Runs until SIGTERM or SIGINT. A shell is a socket shell-*.sock: who renames it to another "
      "directory of the same file system has it.");
  app.add_option("DIR", values.pool.options.directory, "The directory; made when missing")
      ->required();
  app.add_option("-n,--count", values.pool.options.count, "How many shells are ready (default: 4)")
      ->type_name("N")
      ->check(CLI::Range(1, 10000));
  app.add_option("--cpus", values.pool.options.vcpus, "Processors of what is expected (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(1, 32));
  app.add_option("--memory", values.pool_memory, "Memory of what is expected (default: 128M)")
      ->type_name("SIZE");
}

std::vector<std::string> split_command(std::span<const char* const> words,
                                       std::vector<std::string>& command) {
  const auto mark = std::ranges::find(words, std::string_view("--"));
  if (mark != words.end()) command.assign(mark + 1, words.end());
  std::vector<std::string> options(words.begin(), mark);
  std::ranges::reverse(options);  // as CLI11 takes them
  return options;
}

Result<engine::RunOptions> finish(Values values, std::vector<std::string> command) {
  const auto memory = engine::parse_size(values.memory);
  if (!memory) return fail(ErrorKind::kInvalid, "--memory {}", memory.error().text());
  values.run.memory = *memory;
  if (!values.kernel.empty()) values.run.kernel = values.kernel;
  if (!values.workdir.empty()) values.run.workdir = values.workdir;
  if (!values.hostname.empty()) values.run.hostname = values.hostname;
  values.run.command = std::move(command);
  if (values.run.command.empty()) {
    return fail(ErrorKind::kInvalid, "there is no command: mote run OPTION... -- COMMAND [ARG...]");
  }
  return std::move(values.run);
}

// `mote api` with its words in place; their values may begin with a bracket as well.
std::optional<Api> parse_api(std::span<const char* const> words) {
  if (words.size() < 4 || words.size() > 5 || words[0] != std::string_view("api")) return {};
  for (const std::string_view word : words.subspan(1, 3))
    if (word.starts_with('-')) return {};
  return Api{{.socket = words[1],
              .method = words[2],
              .path = words[3],
              .body = words.size() > 4 ? words[4] : ""}};
}

// `api`: its command was named, and not all that belongs to it.
std::unexpected<Error> nothing_to_do(bool api) {
  if (api) {
    return fail(ErrorKind::kInvalid,
                "it is mote api SOCKET METHOD PATH [BODY]; see mote api --help");
  }
  return fail(ErrorKind::kInvalid,
              "what is to be done? mote run, mote doctor, mote api, mote metrics, mote snapshot, "
              "mote fork, mote pool, mote layer, mote seccomp; see mote --help");
}

ShowText version() { return {.text = "mote v" MOTE_VERSION "\n"}; }

// What CLI11 leaves to be checked.
Result<Request> finish_fork(Fork fork) {
  if (fork.options.into.empty() && fork.options.directory.empty()) {
    return fail(ErrorKind::kInvalid,
                "mote fork lacks --directory DIR, where the children's sockets are to be, or "
                "--into SOCKET");
  }
  return fork;
}

Result<Request> finish_pool(Values values) {
  const auto memory = engine::parse_size(values.pool_memory);
  if (!memory || *memory % (1 << 20) != 0) {
    return fail(ErrorKind::kInvalid, "--memory {} is no size of whole MiB, as 512M or 2G",
                json::quote(values.pool_memory));
  }
  values.pool.options.mem_size_mib = *memory >> 20;
  return std::move(values.pool);
}

// What the command asks for that was parsed, of those but `run`.
Result<Request> chosen(const CLI::App& app, Values values) {
  const auto is = [&](const char* name) { return app.got_subcommand(name); };
  if (is("doctor")) return values.doctor;
  if (is("metrics")) return values.metrics;
  if (is("snapshot")) return values.snapshot;
  if (is("layer")) return finish_layer(std::move(values));
  if (is("fork")) return finish_fork(std::move(values.fork));
  if (is("pool")) return finish_pool(std::move(values));
  if (is("seccomp")) {
    if (app.get_subcommand("seccomp")->got_subcommand("show")) return values.seccomp_show;
    return values.seccomp_compile;
  }
  return nothing_to_do(is("api"));
}

}  // namespace

bool is_run(std::span<const char* const> words) {
  return !words.empty() && words[0] == std::string_view("run");
}

Result<Request> parse(std::span<const char* const> words) {
  CLI::App app("Runs commands in microVMs.", "mote");
  Values values;
  bool wants_version = false;
  app.add_flag("--version", wants_version, "Print the version");
  CLI::App* const run = app.add_subcommand("run", "Run a command in a microVM of its own");
  CLI::App* const doctor =
      app.add_subcommand("doctor", "Say what this host has of what microVMs need");
  CLI::App* const api = app.add_subcommand("api", "Ask a running microVM's monitor something");
  CLI::App* const metrics =
      app.add_subcommand("metrics", "Print the counters of a running microVM's monitor");
  CLI::App* const fork =
      app.add_subcommand("fork", "Have a running microVM's children go on beside it");
  CLI::App* const pool =
      app.add_subcommand("pool", "Keep shells ready, which snapshots and forks are loaded into");
  CLI::App* const snapshot = app.add_subcommand("snapshot", "Look at the files of snapshots");
  CLI::App* const layer = app.add_subcommand("layer", "Make and look at layers of disks");
  CLI::App* const seccomp =
      app.add_subcommand("seccomp", "Show and make filters of mote-vmm's system calls");
  CLI::App* const version_command = app.add_subcommand("version", "Print the version");
  CLI::App* const help_command = app.add_subcommand("help", "Print this text");
  app.require_subcommand(0, 1);
  describe_run(*run, values);
  describe_doctor(*doctor, values.doctor);
  describe_api(*api, values.api.request);
  describe_metrics(*metrics, values.metrics);
  describe_snapshot(*snapshot, values.snapshot);
  describe_fork(*fork, values.fork.options);
  describe_pool(*pool, values);
  describe_layer(*layer, values);
  describe_seccomp(*seccomp, values);

  // What follows `--` is the guest's: the library, which has ideas about brackets in values, never
  // sees it.
  if (auto api_request = parse_api(words)) return std::move(*api_request);
  const std::string help = app.help();  // of the whole: later it is the chosen command's
  std::vector<std::string> command;
  std::vector<std::string> options = split_command(words, command);
  const bool has_command = options.size() < words.size();
  try {
    app.parse(options);
  } catch (const CLI::CallForHelp&) {
    return ShowText{.text = app.help()};
  } catch (const CLI::ParseError& error) {
    return fail(ErrorKind::kInvalid, "{}; see mote {}--help", error.what(),
                run->parsed() ? "run " : "");
  }
  if (wants_version || version_command->parsed()) return version();
  if (help_command->parsed()) return ShowText{.text = help};
  if (run->parsed()) {
    MOTE_TRY(auto finished, finish(std::move(values), std::move(command)));
    return Run{std::move(finished)};
  }
  if (has_command) {
    return fail(ErrorKind::kInvalid, "-- and a command belong to mote run; see mote run --help");
  }
  return chosen(app, std::move(values));
}

}  // namespace mote::cli

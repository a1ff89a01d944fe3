// mote: what a person types.
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "base/json_describe.h"
#include "base/standard_streams.h"
#include "base/unique_fd.h"
#include "engine/doctor.h"
#include "engine/layer_files.h"
#include "engine/production.h"
#include "engine/prometheus.h"
#include "engine/snapshot_files.h"
#include "programs/mote/arguments.h"

namespace mote::cli {
namespace {

constexpr int kStatusBadArguments = 2;
constexpr int kStatusNoAnswer = 2;

[[noreturn]] void die_by(int signal) {
  ::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::raise(signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ::_exit(128 + signal);
}

int refuse(int status, const Error& error) {
  fmt::print(stderr, "mote: {}\n", error.text());
  return status;
}

int carry_out(const ShowText& request) {
  fmt::print("{}", request.text);
  return 0;
}

int carry_out(const Doctor& request) {
  if (request.probe) {
    fmt::print("{}\n", engine::name_of(kvm::probe().usability));
    return 0;
  }
  engine::Diagnosis diagnosis = engine::examine(engine::gather_facts());
  if (request.production) {
    diagnosis = engine::with_production(
        std::move(diagnosis), engine::examine_production(engine::gather_production_facts()));
  }
  fmt::print("{}", request.json ? json::write(diagnosis) + "\n" : engine::to_text(diagnosis));
  return diagnosis.ready && diagnosis.safe.value_or(true) ? 0 : 1;
}

int carry_out(const Api& api) {
  engine::ApiRequest request = api.request;
  if (request.body == "-") {
    auto body = read_all(STDIN_FILENO, engine::kMaxAnswer);
    if (!body) return refuse(kStatusNoAnswer, body.error());
    request.body = std::move(*body);
  }
  const auto answer = engine::ask(request);
  if (!answer) return refuse(kStatusNoAnswer, answer.error());
  if (!answer->body.empty()) fmt::print("{}\n", answer->body);
  if (answer->status >= 200 && answer->status < 300) return 0;
  fmt::print(stderr, "mote: {} {} was answered with {}\n", request.method, request.path,
             answer->status);
  return 1;
}

int carry_out(const Metrics& request) {
  auto answer =
      engine::ask({.socket = request.socket, .method = "GET", .path = "/vm/metrics", .body = {}});
  if (!answer) return refuse(kStatusNoAnswer, answer.error());
  if (answer->status != 200) {
    fmt::print(stderr, "mote: {} was answered with {}: {}\n", request.socket, answer->status,
               answer->body);
    return kStatusNoAnswer;
  }
  if (!request.prometheus) {
    fmt::print("{}\n", answer->body);
    return 0;
  }
  const auto text = engine::to_prometheus(answer->body);
  if (!text) return refuse(kStatusNoAnswer, text.error());
  fmt::print("{}", *text);
  return 0;
}

int carry_out(const Snapshot& request) {
  constexpr int kStatusFailed = 2;
  using What = Snapshot::What;
  if (request.what == What::kRebase) {
    const auto done = engine::rebase_snapshot(request.first, request.second);
    return done ? 0 : refuse(kStatusFailed, done.error());
  }
  if (request.what == What::kDiff) {
    const auto lines = engine::diff_snapshots(request.first, request.second);
    if (!lines) return refuse(kStatusFailed, lines.error());
    for (const std::string& line : *lines) fmt::print("{}\n", line);
    return lines->empty() ? 0 : 1;
  }
  const auto text = request.what == What::kVersion
                        ? engine::snapshot_version(request.first)
                        : engine::inspect_snapshot(request.first, request.second, request.json);
  if (!text) return refuse(kStatusFailed, text.error());
  fmt::print("{}{}", *text, request.what == What::kVersion ? "\n" : "");
  return 0;
}

int carry_out(const Fork& request) {
  constexpr int kStatusFailed = 2;
  const auto report = engine::fork_microvm(request.options);
  if (!report) return refuse(kStatusFailed, report.error());
  for (const std::string& socket : report->sockets) fmt::print("{}\n", socket);
  for (const std::string& failure : report->failures) fmt::print(stderr, "mote: {}\n", failure);
  return report->failures.empty() ? 0 : 1;
}

int carry_out(const Pool& request) {
  const auto done = engine::keep_pool(request.options);
  return done ? 0 : refuse(1, done.error());
}

int carry_out(const Layer& request) {
  constexpr int kStatusFailed = 2;
  using What = Layer::What;
  if (request.what == What::kInfo) {
    const auto text = engine::layer_info(request.path, request.json);
    if (!text) return refuse(kStatusFailed, text.error());
    fmt::print("{}", *text);
    return 0;
  }
  if (request.what == What::kCheck) {
    const auto findings = engine::check_layer(request.path, request.files);
    if (!findings) return refuse(kStatusFailed, findings.error());
    for (const std::string& line : *findings) fmt::print("{}\n", line);
    return findings->empty() ? 0 : 1;
  }
  const auto done =
      request.what == What::kCreate
          ? engine::create_layer(request.path, request.files, request.size, request.cluster)
          : engine::commit_layers(request.path, request.files);
  return done ? 0 : refuse(kStatusFailed, done.error());
}

int carry_out(const SeccompShow& request) {
  const auto text = seccomp_show(request);
  if (!text) return refuse(kStatusBadArguments, text.error());
  fmt::print("{}", *text);
  return 0;
}

int carry_out(const SeccompCompile& request) {
  const auto done = seccomp_compile(request);
  return done ? 0 : refuse(1, done.error());
}

int carry_out(const Run& request) {
  const auto outcome = engine::run(request.options);
  if (!outcome) return refuse(engine::kStatusLost, outcome.error());
  for (const std::string& line : outcome->messages) fmt::print(stderr, "{}\n", line);
  if (outcome->signal) die_by(*outcome->signal);
  return outcome->status;
}

}  // namespace
}  // namespace mote::cli

int main(int argc, char** argv) {
  using namespace mote::cli;
  if (const auto held = mote::hold_standard_streams(); !held) return refuse(1, held.error());
  const auto words =
      std::span<const char* const>(argv, static_cast<std::size_t>(argc)).subspan(argc > 0 ? 1 : 0);
  const auto request = parse(words);
  if (!request) {
    return refuse(is_run(words) ? mote::engine::kStatusLost : kStatusBadArguments, request.error());
  }
  return std::visit([](const auto& what) { return carry_out(what); }, *request);
}

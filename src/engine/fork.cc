#include "engine/fork.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <span>
#include <thread>

#include "base/json.h"
#include "base/unique_fd.h"
#include "engine/api_client.h"
#include "engine/places.h"
#include "engine/pool.h"
#include "engine/served_monitor.h"

namespace mote::engine {
namespace {

// Monitors that are started at once.
constexpr unsigned kAtOnce = 8;

Result<void> load(const std::string& socket, const std::string& body,
                  std::span<const UniqueFd> descriptors) {
  MOTE_TRY(const ApiAnswer answer,
           ask({.socket = socket, .method = "PUT", .path = "/snapshot/load", .body = body},
               descriptors));
  if (answer.status == 204) return {};
  return fail(ErrorKind::kIo, "{} was answered with {}: {}", socket, answer.status, answer.body);
}

// A monitor for a child: one of the pool that is ready, else a fresh one.
Result<std::string> find_monitor(const ForkOptions& options, const std::string& program,
                                 unsigned number, pid_t& started) {
  const std::string name = fmt::format("{}/fork-{}-{}", options.directory, ::getpid(), number);
  const std::string socket = name + ".sock";
  if (!options.pool.empty() && take_shell(options.pool, socket)) return socket;
  const ServedPlan plan{.program = program, .socket = socket, .output = name + ".log"};
  MOTE_TRY(started, start_served(plan));
  MOTE_CHECK(await_served(started, plan));
  return socket;
}

Result<std::string> make_child(const ForkOptions& options, const std::string& program,
                               unsigned number, std::span<const UniqueFd> descriptors) {
  MOTE_TRY(const std::string body, load_of_child(options, number));
  pid_t started = -1;
  auto socket = options.into.empty() ? find_monitor(options, program, number, started)
                                     : Result<std::string>(options.into[number - 1]);
  auto done = socket ? load(*socket, body, descriptors) : std::unexpected(socket.error());
  if (done) return socket;
  // What this call has started and nobody can use is taken away again.
  if (started > 0) ::kill(started, SIGKILL);
  if (started > 0 && socket) ::unlink(socket->c_str());
  return std::unexpected(std::move(done.error()).within(fmt::format("child {}", number)));
}

}  // namespace

Result<std::string> load_of_child(const ForkOptions& options, unsigned number) {
  std::string body = fmt::format(
      R"({{"mem_backend":{{"backend_type":"Descriptors"}},"resume_vm":{})", !options.paused);
  std::string fields = options.with;
  constexpr std::string_view kNumber = "{n}";
  const std::string digits = fmt::format("{}", number);
  for (auto at = fields.find(kNumber); at != fields.npos; at = fields.find(kNumber, at)) {
    fields.replace(at, kNumber.size(), digits);
    at += digits.size();
  }
  if (!fields.empty()) {
    MOTE_TRY(const json::Value value, json::parse(fields));
    const auto begin = fields.find_first_not_of(" \t\r\n");
    if (fields[begin] != '{') {
      return fail(ErrorKind::kInvalid, "{} is no JSON object of fields of a load",
                  json::quote(fields));
    }
    const auto end = fields.rfind('}');
    const std::string inner = fields.substr(begin + 1, end - begin - 1);
    if (inner.find_first_not_of(" \t\r\n") != inner.npos) body += "," + inner;
  }
  return body + "}";
}

Result<ForkReport> fork_microvm(const ForkOptions& options) {
  // What is wrong with it is told before anything is done.
  MOTE_CHECK_WITHIN(load_of_child(options, 1), "--with");
  if (options.into.empty() && ::access((options.directory + "/").c_str(), W_OK | X_OK) < 0) {
    return fail_errno(errno, "put the children's sockets into '{}'", options.directory);
  }
  MOTE_TRY(const std::string program, sibling_program("mote-vmm"));
  MOTE_TRY(const ApiAnswer answer,
           ask({.socket = options.socket, .method = "PUT", .path = "/fork", .body = {}}));
  if (answer.status != 200) {
    return fail(ErrorKind::kIo, "{} was answered with {}: {}", options.socket, answer.status,
                answer.body);
  }
  const auto count =
      options.into.empty() ? options.count : static_cast<unsigned>(options.into.size());
  ForkReport report;
  std::mutex mutex;
  std::atomic<unsigned> next = 1;
  const auto work = [&] {
    for (unsigned number = next++; number <= count; number = next++) {
      auto child = make_child(options, program, number, answer.descriptors);
      const std::lock_guard lock(mutex);
      if (child) {
        report.sockets.push_back(std::move(*child));
      } else {
        report.failures.push_back(child.error().text());
      }
    }
  };
  std::vector<std::jthread> workers;
  for (unsigned i = 1; i < std::min(count, kAtOnce); ++i) workers.emplace_back(work);
  work();
  workers.clear();
  return report;
}

}  // namespace mote::engine

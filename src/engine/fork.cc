#include "engine/fork.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <thread>

#include "base/json.h"
#include "base/unique_fd.h"
#include "engine/api_client.h"
#include "engine/places.h"
#include "engine/pool.h"
#include "engine/served_monitor.h"
#include "engine/zygote.h"

namespace mote::engine {
namespace {

// Monitors that are started at once.
constexpr unsigned kAtOnce = 8;

constexpr std::string_view kSuffix = ".sock";

// The path of what it has, without a suffix.
std::string name_of_child(const ForkOptions& options, unsigned number) {
  return fmt::format("{}/fork-{}-{}", options.directory, ::getpid(), number);
}

// What is wrong with where children are to be had from, and put.
Result<void> check_places(const ForkOptions& options) {
  if (!options.into.empty()) return {};
  if (::access((options.directory + "/").c_str(), W_OK | X_OK) < 0) {
    return fail_errno(errno, "put the children's sockets into '{}'", options.directory);
  }
  MOTE_CHECK_WITHIN(check_socket_path(name_of_child(options, options.count) + std::string(kSuffix)),
                    "--directory");
  if (options.pool.empty() || ::access((options.pool + "/").c_str(), R_OK | W_OK | X_OK) == 0) {
    return {};
  }
  return fail_errno(errno, "take shells of the pool '{}'", options.pool);
}

Result<void> load(const std::string& socket, const std::string& body,
                  std::span<const UniqueFd> descriptors) {
  MOTE_TRY(const ApiAnswer answer,
           ask({.socket = socket, .method = "PUT", .path = "/snapshot/load", .body = body},
               descriptors));
  if (answer.status == 204) return {};
  return fail(ErrorKind::kIo, "{} was answered with {}: {}", socket, answer.status, answer.body);
}

// Makes the children of a fork.
class Maker {
 public:
  // `program`: mote-vmm.
  Maker(const ForkOptions& options, std::string program, std::span<const UniqueFd> descriptors)
      : options_(options), program_(std::move(program)), descriptors_(descriptors) {}

  // Before the first child().
  Result<void> prepare() {
    if (!options_.into.empty()) return {};
    MOTE_TRY(Zygote zygote, Zygote::start(program_, descriptors_));
    zygote_.emplace(std::move(zygote));
    return {};
  }

  // Child `number`'s socket. From any thread.
  Result<std::string> child(unsigned number) {
    auto made = make(number);
    if (made) return made;
    return std::unexpected(std::move(made.error()).within(fmt::format("child {}", number)));
  }

 private:
  Result<std::string> make(unsigned number) {
    MOTE_TRY(const std::string body, load_of_child(options_, number));
    if (!options_.into.empty()) {
      const std::string& socket = options_.into[number - 1];
      MOTE_CHECK(load(socket, body, descriptors_));
      return socket;
    }
    const std::string name = name_of_child(options_, number);
    const std::string socket = name + std::string(kSuffix);
    if (!options_.pool.empty()) {
      MOTE_TRY(const bool is_there, load_shell(socket, body));
      if (is_there) return socket;
    }
    ServedPlan plan{.socket = socket, .output = name + ".log", .flags = {"--load", body}};
    for (const UniqueFd& fd : descriptors_) {
      plan.flags.insert(plan.flags.end(), {"--load-fd", fmt::format("{}", fd.get())});
    }
    auto monitor = start_served(plan, *zygote_);
    if (!monitor) {
      ::unlink(socket.c_str());
      return std::unexpected(std::move(monitor.error()));
    }
    if (auto ready = await_served(*monitor, plan); !ready) {
      end_served(*monitor, socket);
      return std::unexpected(std::move(ready.error()));
    }
    return socket;
  }

  // False: the pool has none left.
  Result<bool> load_shell(const std::string& socket, const std::string& body) {
    MOTE_TRY(const auto was, take_shell(options_.pool, socket));
    if (!was) return false;
    auto loaded = load(socket, body, descriptors_);
    if (loaded) return true;
    // Nothing was asked of it, so it is the next one's.
    ::rename(socket.c_str(), was->c_str());
    return std::unexpected(std::move(loaded.error()));
  }

  const ForkOptions& options_;
  const std::string program_;
  const std::span<const UniqueFd> descriptors_;
  std::optional<Zygote> zygote_;
};

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
  MOTE_CHECK(check_places(options));
  std::string program = options.program;
  if (program.empty()) {
    MOTE_TRY(program, sibling_program("mote-vmm"));
  }
  MOTE_TRY(const ApiAnswer answer,
           ask({.socket = options.socket, .method = "PUT", .path = "/fork", .body = {}}));
  if (answer.status != 200) {
    return fail(ErrorKind::kIo, "{} was answered with {}: {}", options.socket, answer.status,
                answer.body);
  }
  const auto count =
      options.into.empty() ? options.count : static_cast<unsigned>(options.into.size());
  Maker maker(options, std::move(program), answer.descriptors);
  MOTE_CHECK(maker.prepare());
  ForkReport report;
  std::mutex mutex;
  std::atomic<unsigned> next = 1;
  const auto work = [&] {
    for (unsigned number = next++; number <= count; number = next++) {
      auto child = maker.child(number);
      const std::lock_guard lock(mutex);
      if (child) {
        report.sockets.push_back(std::move(*child));
      } else {
        report.failures.push_back(child.error().text());
      }
    }
  };
  std::vector<std::jthread> workers;
  try {
    for (unsigned i = 1; i < std::min(count, kAtOnce); ++i) workers.emplace_back(work);
  } catch (const std::system_error&) {
    // Those that are there do it as well.
  }
  work();
  workers.clear();
  return report;
}

}  // namespace mote::engine

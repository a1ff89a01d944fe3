// Monitors that are served by their API, for tests of what a client does with several of them.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "bare_test.h"
#include "engine/api_client.h"

namespace mote::bare {

// The number that `variable` of the environment has, as of rounds of a campaign.
inline int count_of(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::atoi(text);
}

// A monitor that serves its API at a socket of the scratch directory.
struct Monitor {
  VmmProcess process;
  std::string socket;

  int ask(std::string method, std::string path, std::string body) const {
    return answer(std::move(method), std::move(path), std::move(body)).status;
  }
  engine::ApiAnswer answer(std::string method, std::string path, std::string body = {},
                           std::span<const UniqueFd> descriptors = {}) const {
    auto answer = engine::ask({.socket = socket,
                               .method = std::move(method),
                               .path = std::move(path),
                               .body = std::move(body)},
                              descriptors);
    EXPECT_TRUE(answer) << answer.error().text();
    return answer ? std::move(*answer) : engine::ApiAnswer{};
  }
  int put(std::string path, std::string body) const {
    return ask("PUT", std::move(path), std::move(body));
  }
};

class ServedTest : public BareTest {
 protected:
  // `more`: further flags; `as`: the name under which the program is started.
  Monitor start_monitor(const std::string& name, const std::vector<std::string>& more = {},
                        const std::string& as = "mote-vmm") {
    const std::string socket = path_of(name + ".sock");
    std::filesystem::remove(socket);
    std::vector<std::string> arguments{"--api-sock", socket, "--log-path",
                                       write_file(name + ".log", "")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto process = VmmProcess::start({.name = as, .arguments = arguments});
    EXPECT_TRUE(process) << process.error().text();
    const engine::ApiRequest hello{.socket = socket, .method = "GET", .path = "/", .body = {}};
    for (int tries = 0; tries < 1000 && !engine::ask(hello); ++tries) ::usleep(10'000);
    return {.process = std::move(*process), .socket = socket};
  }
  // Gives it a machine with the guest `guest`; `more`: further fields of the machine's.
  static void configure(const Monitor& monitor, unsigned vcpus, unsigned mib,
                        const std::string& more = {}, const char* guest = "counter") {
    EXPECT_EQ(
        monitor.put("/machine-config",
                    fmt::format(R"({{"vcpu_count":{},"mem_size_mib":{}{}}})", vcpus, mib, more)),
        204);
    EXPECT_EQ(monitor.put("/boot-source",
                          fmt::format(R"({{"kernel_image_path":"{}"}})", guest_path(guest))),
              204);
  }
  // One that runs the guest that counts, `count` letters further.
  Monitor start_counter(unsigned vcpus, const std::string& machine_fields = {}) {
    Monitor monitor = start_monitor("first");
    configure(monitor, vcpus, 64, machine_fields);
    EXPECT_EQ(monitor.put("/balloon", R"({"amount_mib":0,"deflate_on_oom":true})"), 204);
    EXPECT_EQ(monitor.put("/entropy", "{}"), 204);
    EXPECT_EQ(monitor.put("/actions", R"({"action_type":"InstanceStart"})"), 204);
    EXPECT_TRUE(monitor.process.send("abc"));
    EXPECT_TRUE(monitor.process.wait_for_output(counted(3))) << monitor.process.output();
    return monitor;
  }
  static std::string counted(int count) {
    return fmt::format("memory={0:08x} register={0:08x}\n", count);
  }
  static std::string log_of(const Monitor& monitor) {
    std::ifstream file(std::filesystem::path(monitor.socket).replace_extension("log"));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static int pause(const Monitor& monitor) {
    return monitor.ask("PATCH", "/vm", R"({"state":"Paused"})");
  }
};

}  // namespace mote::bare

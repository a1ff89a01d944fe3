// Children of a fork in monitors that a zygote becomes, as `mote fork` makes them.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <set>

#include "engine/fork.h"
#include "engine/served_monitor.h"
#include "engine/zygote.h"
#include "served_test.h"

namespace mote::bare {
namespace {

class ZygoteChildren : public ServedTest {
 protected:
  static constexpr const char* kForkable = R"(,"forkable":true)";
  static constexpr const char* kLoad =
      R"({"mem_backend":{"backend_type":"Descriptors"},"resume_vm":true})";

  static std::vector<UniqueFd> fork(const Monitor& monitor) {
    engine::ApiAnswer answer = monitor.answer("PUT", "/fork");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return std::move(answer.descriptors);
  }
  static std::vector<std::string> load_flags(std::span<const UniqueFd> descriptors) {
    std::vector<std::string> flags{"--load", kLoad};
    for (const UniqueFd& fd : descriptors) {
      flags.insert(flags.end(), {"--load-fd", fmt::format("{}", fd.get())});
    }
    return flags;
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file(path_of(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // Whether the file has `text`, at the latest after some seconds.
  bool comes(const std::string& name, const std::string& text) const {
    for (int tries = 0; tries < 3000; ++tries) {
      if (text_of(name).find(text) != std::string::npos) return true;
      ::usleep(10'000);
    }
    return false;
  }
  // Whoever listens there.
  static void end(const std::string& socket) {
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    socket.copy(address.sun_path, sizeof address.sun_path - 1);
    ucred peer{};
    socklen_t size = sizeof peer;
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    ASSERT_EQ(::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    ASSERT_GT(peer.pid, 1);
    EXPECT_EQ(::kill(peer.pid, SIGKILL), 0);
  }
};

// One without an API, whose guest is told letters through a pipe.
TEST_F(ZygoteChildren, ItsMonitorsGoOnApart) {
  Monitor parent = start_counter(1, kForkable);
  const auto descriptors = fork(parent);
  auto zygote = engine::Zygote::start(vmm_program(), descriptors);
  ASSERT_TRUE(zygote) << zygote.error().text();
  std::vector<std::string> words{"--no-api", "--level", "Error"};
  for (std::string& flag : load_flags(descriptors)) words.push_back(std::move(flag));
  std::vector<UniqueFd> monitors;
  std::vector<UniqueFd> inputs;
  for (const char* name : {"one", "other"}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd input(ends[0]);
    inputs.emplace_back(ends[1]);
    const auto output = open_file(path_of(name), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ASSERT_TRUE(output);
    auto made = zygote->make_monitor(words, input, *output);
    ASSERT_TRUE(made) << made.error().text();
    monitors.push_back(std::move(*made));
  }
  ASSERT_TRUE(write_all(inputs[0].get(), std::as_bytes(std::span("xy", 2))));
  EXPECT_TRUE(comes("one", counted(5))) << text_of("one");
  ASSERT_TRUE(write_all(inputs[1].get(), std::as_bytes(std::span("x", 1))));
  EXPECT_TRUE(comes("other", counted(4))) << text_of("other");
  EXPECT_EQ(text_of("other").find(counted(5)), std::string::npos);
  // The end of one is nothing to the other, nor is the parent's.
  engine::end_served(monitors[0], path_of("none"));
  EXPECT_TRUE(engine::has_ended(monitors[0], 20'000));
  parent.process.signal(SIGKILL);
  EXPECT_TRUE(parent.process.finish());
  ASSERT_TRUE(write_all(inputs[1].get(), std::as_bytes(std::span("x", 1))));
  EXPECT_TRUE(comes("other", counted(5)));
  EXPECT_FALSE(engine::has_ended(monitors[1]));
  engine::end_served(monitors[1], path_of("none"));
}

TEST_F(ZygoteChildren, OneThatCannotLoadSaysWhyAndTheOthersGoOn) {
  const Monitor parent = start_counter(1, kForkable);
  const auto descriptors = fork(parent);
  auto zygote = engine::Zygote::start(vmm_program(), descriptors);
  ASSERT_TRUE(zygote) << zygote.error().text();
  const engine::ServedPlan wrong{
      .socket = path_of("w.sock"), .output = path_of("w.log"), .flags = {"--load", R"({"tap":1})"}};
  const auto failed = engine::start_served(wrong, *zygote);
  ASSERT_TRUE(failed) << failed.error().text();
  const auto why = engine::await_served(*failed, wrong);
  ASSERT_FALSE(why);
  EXPECT_NE(why.error().text().find("tap is not a known field"), std::string::npos)
      << why.error().text();
  const engine::ServedPlan plan{
      .socket = path_of("c.sock"), .output = path_of("c.log"), .flags = load_flags(descriptors)};
  const auto child = engine::start_served(plan, *zygote);
  ASSERT_TRUE(child) << child.error().text();
  const auto ready = engine::await_served(*child, plan);
  EXPECT_TRUE(ready) << ready.error().text();
  engine::end_served(*child, plan.socket);
  EXPECT_TRUE(engine::has_ended(*child, 20'000));
  EXPECT_FALSE(std::filesystem::exists(plan.socket));
}

TEST_F(ZygoteChildren, AnEndedZygoteIsAnError) {
  auto zygote = engine::Zygote::start("/nowhere/mote-vmm", {});
  ASSERT_TRUE(zygote) << zygote.error().text();
  const auto nothing = open_file("/dev/null", O_RDWR);
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(zygote->make_monitor({"--version"}, *nothing, *nothing));
}

// Nobody would have it, or know of it.
TEST_F(ZygoteChildren, AMonitorOfWhichNoDescriptorComesIsEnded) {
  auto zygote = engine::Zygote::start(vmm_program(), {});
  ASSERT_TRUE(zygote) << zygote.error().text();
  const auto nothing = open_file("/dev/null", O_RDWR);
  ASSERT_TRUE(nothing);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd output(ends[0]);
  UniqueFd its(ends[1]);
  // Room for what is sent, and no more.
  std::array<UniqueFd, 3> next;
  for (UniqueFd& fd : next) fd = *its.duplicate();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{.rlim_cur = static_cast<rlim_t>(next.back().get()) + 1,
                   .rlim_max = before.rlim_max};
  for (UniqueFd& fd : next) fd.reset();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const auto made = zygote->make_monitor({"--api-sock", path_of("s")}, *nothing, its);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text().find("no descriptor left"), std::string::npos)
      << made.error().text();
  its.reset();
  std::array<std::byte, 4096> said;
  pollfd closed{.fd = output.get(), .events = POLLIN, .revents = 0};
  do {
    ASSERT_EQ(::poll(&closed, 1, 20'000), 1) << "it lives";
  } while (**read_some(output.get(), said) > 0);
}

TEST_F(ZygoteChildren, AShellThatRefusesItsLoadGoesBackIntoThePool) {
  const Monitor parent = start_counter(1, kForkable);
  const std::string pool = path_of("pool");
  const std::string directory = path_of("children");
  for (const std::string& each : {pool, directory}) std::filesystem::create_directory(each);
  const Monitor shell = start_monitor("pool/shell-1", {"--shell"});
  engine::ForkOptions options{.socket = parent.socket,
                              .count = 1,
                              .directory = directory,
                              .pool = pool,
                              .with = R"({"serial":{"serial_out_path":")" + directory + R"("}})",
                              .program = vmm_program()};
  const auto refused = engine::fork_microvm(options);
  ASSERT_TRUE(refused) << refused.error().text();
  EXPECT_EQ(refused->failures.size(), 1U);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  EXPECT_TRUE(std::filesystem::exists(shell.socket));
  options.with.clear();
  const auto forked = engine::fork_microvm(options);
  ASSERT_TRUE(forked) << forked.error().text();
  EXPECT_EQ(forked->sockets.size(), 1U);
  EXPECT_FALSE(std::filesystem::exists(shell.socket));
}

TEST_F(ZygoteChildren, ManyChildrenOfOneForkAreAllThereOrSaidToBeNone) {
  const Monitor parent = start_counter(1, kForkable);
  const std::string directory = path_of("children");
  std::filesystem::create_directory(directory);
  const auto report = engine::fork_microvm(
      {.socket = parent.socket,
       .count = 12,
       .directory = directory,
       .with = R"({"serial":{"serial_out_path":")" + path_of("out-{n}") + R"("}})",
       .paused = true,
       .program = vmm_program()});
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_TRUE(report->failures.empty()) << report->failures.front();
  const std::set<std::string> sockets(report->sockets.begin(), report->sockets.end());
  EXPECT_EQ(sockets.size(), 12U);
  for (const std::string& socket : sockets) {
    const auto answer = engine::ask({.socket = socket, .method = "GET", .path = "/", .body = {}});
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_NE(answer->body.find(R"("state":"Paused")"), std::string::npos) << answer->body;
    const auto resumed = engine::ask(
        {.socket = socket, .method = "PATCH", .path = "/vm", .body = R"({"state":"Resumed"})"});
    EXPECT_TRUE(resumed && resumed->status == 204);
    end(socket);
  }
}

}  // namespace
}  // namespace mote::bare

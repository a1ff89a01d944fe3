#include "programs/mote/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Words = std::vector<const char*>;

engine::RunOptions run_options(const Words& words) {
  const auto request = parse(words);
  EXPECT_TRUE(request) << request.error().text();
  const Run* run = request ? std::get_if<Run>(&*request) : nullptr;
  EXPECT_NE(run, nullptr);
  return run != nullptr ? run->options : engine::RunOptions{};
}

std::string error_of(const Words& words) {
  const auto request = parse(words);
  return request ? "it was taken" : request.error().text();
}

std::string text_of(const Words& words) {
  const auto request = parse(words);
  const ShowText* shown = request ? std::get_if<ShowText>(&*request) : nullptr;
  return shown != nullptr ? shown->text : "no text";
}

TEST(Arguments, RunHasDefaults) {
  const auto options = run_options({"run", "--rootfs", "/root", "--", "/bin/true"});
  EXPECT_EQ(options.rootfs, "/root");
  EXPECT_FALSE(options.kernel);
  EXPECT_EQ(options.cpus, 1);
  EXPECT_EQ(options.memory, 512ULL << 20);
  EXPECT_FALSE(options.workdir);
  EXPECT_FALSE(options.hostname);
  EXPECT_FALSE(options.console);
  EXPECT_THAT(options.command, ElementsAre("/bin/true"));
}

TEST(Arguments, RunTakesEveryOption) {
  const auto options = run_options(
      {"run",  "--rootfs",      "r",   "--kernel",  "k",     "--cpus",    "4",  "--memory",
       "2GiB", "--env",         "A=1", "--env",     "B=[x]", "--workdir", "/w", "--hostname",
       "h",    "--kernel-args", "a b", "--console", "--",    "x"});
  EXPECT_EQ(options.kernel, "k");
  EXPECT_EQ(options.cpus, 4);
  EXPECT_EQ(options.memory, 2ULL << 30);
  EXPECT_THAT(options.environment, ElementsAre("A=1", "B=[x]"));
  EXPECT_EQ(options.workdir, "/w");
  EXPECT_EQ(options.hostname, "h");
  EXPECT_EQ(options.kernel_arguments, "a b");
  EXPECT_TRUE(options.console);
}

TEST(Arguments, CommandArrivesUntouched) {
  const auto options = run_options({"run", "--rootfs", "r", "--", "find", ".", "-exec", "[a,b]",
                                    "{}", "", "--", "--help", "%%", "run"});
  EXPECT_THAT(options.command,
              ElementsAre("find", ".", "-exec", "[a,b]", "{}", "", "--", "--help", "%%", "run"));
}

TEST(Arguments, MistakesAreNamed) {
  EXPECT_THAT(error_of({}), HasSubstr("mote --help"));
  EXPECT_THAT(error_of({"fly"}), HasSubstr("fly"));
  EXPECT_THAT(error_of({"run", "--", "x"}), HasSubstr("--rootfs"));
  EXPECT_THAT(error_of({"run", "--rootfs", "r"}), HasSubstr("no command"));
  EXPECT_THAT(error_of({"run", "--rootfs", "r", "--"}), HasSubstr("no command"));
  EXPECT_THAT(error_of({"run", "--rootfs", "r", "ls", "--", "x"}), HasSubstr("ls"));
  EXPECT_THAT(error_of({"run", "--rootfs", "r", "--bogus", "--", "x"}), HasSubstr("--bogus"));
  EXPECT_THAT(error_of({"run", "--rootfs", "--", "x"}), HasSubstr("--rootfs"));
  for (const char* cpus : {"two", "-1", "4294967296", "1.5"}) {
    EXPECT_THAT(error_of({"run", "--rootfs", "r", "--cpus", cpus, "--", "x"}), HasSubstr("--cpus"));
  }
  for (const char* memory : {"lots", "-1G"}) {
    EXPECT_THAT(error_of({"run", "--rootfs", "r", "--memory", memory, "--", "x"}),
                HasSubstr("--memory"));
  }
  EXPECT_THAT(error_of({"run", "--rootfs", "a", "--rootfs", "b", "--", "x"}),
              HasSubstr("--rootfs"));
  EXPECT_THAT(error_of({"doctor", "--", "x"}), HasSubstr("mote run"));
  EXPECT_THAT(error_of({"doctor", "--json", "--probe"}), HasSubstr("--probe"));
  EXPECT_THAT(error_of({"doctor", "stray"}), HasSubstr("stray"));
}

TEST(Arguments, MachineIsCheckedBeforeAnythingIsOpened) {
  const auto error = [](std::uint32_t cpus, std::uint64_t memory) {
    engine::RunOptions options;
    options.rootfs = "/no/such";
    options.cpus = cpus;
    options.memory = memory;
    options.command = {"x"};
    const auto outcome = engine::run(options);
    return outcome ? "it ran" : outcome.error().text();
  };
  constexpr std::uint64_t kMiB = 1 << 20;
  for (const std::uint32_t cpus : {0U, 33U})
    EXPECT_THAT(error(cpus, 64 * kMiB), HasSubstr("--cpus"));
  for (const std::uint64_t memory : {std::uint64_t{0}, kMiB, 64 * kMiB + 1}) {
    EXPECT_THAT(error(1, memory), HasSubstr("--memory"));
  }
}

TEST(Arguments, DoctorAndTexts) {
  auto request = parse(Words{"doctor"});
  ASSERT_TRUE(request);
  EXPECT_FALSE(std::get<Doctor>(*request).probe);
  request = parse(Words{"doctor", "--probe"});
  ASSERT_TRUE(request);
  EXPECT_TRUE(std::get<Doctor>(*request).probe);
  request = parse(Words{"doctor", "--json"});
  ASSERT_TRUE(request);
  EXPECT_TRUE(std::get<Doctor>(*request).json);
  EXPECT_THAT(text_of({"--version"}), testing::MatchesRegex("mote v[0-9.]+\n"));
  EXPECT_EQ(text_of({"version"}), text_of({"--version"}));
  EXPECT_THAT(text_of({"--help"}), HasSubstr("doctor"));
  EXPECT_EQ(text_of({"help"}), text_of({"--help"}));
  EXPECT_THAT(text_of({"run", "--help"}), HasSubstr("--kernel-args"));
}

TEST(Arguments, MistakesOfARunAreToldFromOthers) {
  EXPECT_TRUE(is_run(Words{"run", "--bogus"}));
  EXPECT_FALSE(is_run(Words{"doctor"}));
  EXPECT_FALSE(is_run(Words{}));
}

TEST(Arguments, ApiTakesARequestAsItIs) {
  const auto request = parse(Words{"api", "/run/s", "PUT", "/mmds", "[1, {\"a\": 2}]"});
  ASSERT_TRUE(request) << request.error().text();
  const auto& api = std::get<Api>(*request).request;
  EXPECT_EQ(api.socket, "/run/s");
  EXPECT_EQ(api.method, "PUT");
  EXPECT_EQ(api.path, "/mmds");
  EXPECT_EQ(api.body, "[1, {\"a\": 2}]");
  EXPECT_EQ(std::get<Api>(*parse(Words{"api", "s", "GET", "/"})).request.body, "");
}

TEST(Arguments, ApiWantsItsWords) {
  EXPECT_THAT(error_of({"api"}), HasSubstr("SOCKET is required"));
  EXPECT_THAT(error_of({"api", "s", "GET"}), HasSubstr("PATH"));
  EXPECT_THAT(error_of({"api", "s", "GET", "/", "{}", "x"}), testing::Ne("it was taken"));
  EXPECT_THAT(text_of({"api", "--help"}), HasSubstr("SOCKET"));
}

}  // namespace
}  // namespace mote::cli

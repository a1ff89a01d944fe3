#include "programs/mote_vmm/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mote::vmm {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Result<Arguments> parsed(const std::vector<const char*>& arguments) { return parse(arguments); }

// With the two that every run needs.
Result<Arguments> run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), {"--no-api", "--config-file", "f"});
  return parse(arguments);
}

std::string error_of(const Result<Arguments>& result) {
  return result ? "no error" : result.error().text();
}

TEST(Arguments, HasDefaults) {
  const Result<Arguments> arguments = run({});
  ASSERT_TRUE(arguments) << arguments.error().text();
  EXPECT_TRUE(arguments->no_api);
  EXPECT_EQ(arguments->config_file, "f");
  EXPECT_EQ(arguments->id, "anonymous-instance");
  EXPECT_FALSE(arguments->boot_timer || arguments->show_level || arguments->show_log_origin ||
               arguments->no_seccomp || arguments->no_pit || arguments->exit_port ||
               arguments->stdio_uart || arguments->help || arguments->version);
  EXPECT_FALSE(arguments->level || arguments->log_path || arguments->console_fd ||
               arguments->end_fd);
  EXPECT_EQ(arguments->api_sock, "/run/firecracker.socket");
  EXPECT_EQ(arguments->http_api_max_payload_size, 51200U);
  EXPECT_FALSE(arguments->metadata || arguments->mmds_size_limit || arguments->start_time_us ||
               arguments->start_time_cpu_us || arguments->parent_cpu_time_us);
}

TEST(Arguments, TakesEveryFlag) {
  const Result<Arguments> arguments =
      run({"--id", "my-vm", "--boot-timer", "--no-seccomp", "--level", "Debug", "--log-path", "/l",
           "--show-level", "--show-log-origin", "--no-pit", "--exit-port", "--stdio-uart",
           "--console-fd", "7", "--end-fd", "2147483647"});
  ASSERT_TRUE(arguments) << arguments.error().text();
  EXPECT_EQ(arguments->id, "my-vm");
  EXPECT_EQ(arguments->level, "Debug");
  EXPECT_EQ(arguments->log_path, "/l");
  EXPECT_TRUE(arguments->boot_timer && arguments->no_seccomp && arguments->show_level &&
              arguments->show_log_origin && arguments->no_pit && arguments->exit_port &&
              arguments->stdio_uart);
  EXPECT_EQ(arguments->console_fd, 7);
  EXPECT_EQ(arguments->end_fd, 2147483647);
}

TEST(Arguments, TakesTheFlagsOfTheApi) {
  const Result<Arguments> arguments =
      parsed({"--api-sock", "/s", "--http-api-max-payload-size", "+5", "--metadata", "/m",
              "--mmds-size-limit", "0", "--start-time-us", "1", "--start-time-cpu-us", "2",
              "--parent-cpu-time-us", "18446744073709551615"});
  ASSERT_TRUE(arguments) << arguments.error().text();
  EXPECT_FALSE(arguments->no_api);
  EXPECT_EQ(arguments->api_sock, "/s");
  EXPECT_EQ(arguments->http_api_max_payload_size, 5U);
  EXPECT_EQ(arguments->metadata, "/m");
  EXPECT_EQ(arguments->mmds_size_limit, 0U);
  EXPECT_EQ(arguments->start_time_us, 1U);
  EXPECT_EQ(arguments->start_time_cpu_us, 2U);
  EXPECT_EQ(arguments->parent_cpu_time_us, 18446744073709551615U);
}

TEST(Arguments, ChecksNumbers) {
  for (const char* flag : {"--http-api-max-payload-size", "--mmds-size-limit", "--start-time-us",
                           "--start-time-cpu-us", "--parent-cpu-time-us"}) {
    for (const char* number :
         {"", "+", "-1", "abc", "1.5", " 5", "5 ", "0x10", "++5", "18446744073709551616"}) {
      EXPECT_THAT(error_of(parsed({flag, number})), StartsWith(fmt::format("{}: \"", flag)))
          << number;
    }
  }
}

TEST(Arguments, AnswersHelpAndVersionBeforeAnythingElse) {
  using List = std::vector<const char*>;
  for (const List& list :
       {List{"--help"}, List{"-h"}, List{"--help", "--help"}, List{"--help", "x"},
        List{"--help", "--nope"}, List{"--version", "--help"}, List{"--id", "--help"}}) {
    const Result<Arguments> arguments = parsed(list);
    ASSERT_TRUE(arguments) << list.front();
    EXPECT_TRUE(arguments->help && !arguments->version);
  }
  for (const List& list :
       {List{"--version"}, List{"--version", "--version"}, List{"--version", "x"},
        List{"--nope", "--version"}, List{"--version", "--id", "x"}}) {
    const Result<Arguments> arguments = parsed(list);
    ASSERT_TRUE(arguments) << list.front();
    EXPECT_TRUE(arguments->version && !arguments->help);
  }
}

TEST(Arguments, LooksAtNothingAfterTheSeparator) {
  EXPECT_TRUE(run({"--"}));
  EXPECT_TRUE(run({"--", "--nope", "--version"}));
  EXPECT_FALSE(run({"--", "--version"})->version);
  EXPECT_FALSE(parsed({"--", "--no-api", "--config-file", "f"})->no_api);
  EXPECT_EQ(error_of(run({"--id", "--"})), "--id lacks its value; give --id ID");
}

TEST(Arguments, RefusesUnknownOnes) {
  for (const char* flag : {"--nope", "-v", "-V", "nope", "-", "", "--api", "--id-x", "---id",
                           "--ID", "--NO-API", "é"}) {
    EXPECT_THAT(error_of(run({flag})), HasSubstr("is not a flag of mote-vmm")) << flag;
  }
  EXPECT_THAT(error_of(run({"--boot-timer", "x"})), StartsWith("\"x\" is not a flag"));
}

TEST(Arguments, RefusesTheFormWithAnEqualsSign) {
  EXPECT_EQ(error_of(run({"--id=x"})), "\"--id=x\": a value is an argument of its own: --id x");
  for (const char* flag : {"--boot-timer=true", "--help=true", "--version=true", "--level=Info"}) {
    EXPECT_FALSE(run({flag})) << flag;
  }
}

TEST(Arguments, RefusesAFlagGivenTwice) {
  for (const char* flag : {"--boot-timer", "--no-seccomp", "--show-level", "--no-api"}) {
    EXPECT_THAT(error_of(run({flag, flag})), HasSubstr("is given twice; give it once")) << flag;
  }
  for (const char* flag : {"--id", "--level", "--log-path", "--config-file"}) {
    EXPECT_THAT(error_of(run({flag, "x", flag, "x"})), HasSubstr("is given twice")) << flag;
  }
}

TEST(Arguments, RefusesAMissingValue) {
  for (const char* flag : {"--id", "--level", "--log-path", "--console-fd", "--end-fd"}) {
    EXPECT_THAT(error_of(run({flag})), StartsWith(fmt::format("{} lacks its value", flag)));
    EXPECT_THAT(error_of(run({flag, "--show-level"})),
                StartsWith(fmt::format("{} lacks its value", flag)));
  }
  EXPECT_EQ(error_of(parsed({"--no-api", "--config-file"})),
            "--config-file lacks its value; give --config-file FILE");
}

TEST(Arguments, ChecksTheId) {
  const std::string longest(64, 'a');
  for (const char* id : {"a", "A-1", "-", "-a", longest.c_str()}) {
    EXPECT_EQ(error_of(run({"--id", id})), "no error") << id;
  }
  const std::string too_long(65, 'a');
  for (const char* id : {"", "a_b", "a.b", "a b", "a/b", "é", "a\n", too_long.c_str()}) {
    EXPECT_THAT(error_of(run({"--id", id})), HasSubstr("it must be 1 to 64 letters")) << id;
  }
}

TEST(Arguments, ChecksDescriptors) {
  for (const char* number : {"", "-1", "+1", "x", "1x", " 1", "1.5", "0x1", "2147483648"}) {
    EXPECT_THAT(error_of(run({"--end-fd", number})), StartsWith("--end-fd: ")) << number;
    EXPECT_THAT(error_of(run({"--console-fd", number})), HasSubstr("is no descriptor")) << number;
  }
  EXPECT_EQ(run({"--console-fd", "0"})->console_fd, 0);
  EXPECT_THAT(error_of(run({"--console-fd", "5", "--end-fd", "5"})),
              HasSubstr("each must have its own"));
}

TEST(Arguments, FiltersAreGivenOrLeftOut) {
  EXPECT_EQ(parsed({"--seccomp-filter", "f"})->seccomp_filter, "f");
  EXPECT_EQ(parsed({"--allow-path", "/a", "--allow-path", "/b"})->allow_path,
            (std::vector<std::string>{"/a", "/b"}));
  EXPECT_TRUE(parsed({"--die-with-parent"})->die_with_parent);
  EXPECT_THAT(error_of(parsed({"--seccomp-filter", "f", "--no-seccomp"})),
              HasSubstr("contradict each other"));
}

TEST(Arguments, AShellWaitsForALoad) {
  const auto shell = parsed({"--shell", "--shell-vcpu-count", "4", "--shell-mem-size-mib", "512"});
  ASSERT_TRUE(shell) << shell.error().text();
  EXPECT_TRUE(shell->shell);
  EXPECT_EQ(shell->shell_vcpu_count, 4U);
  EXPECT_EQ(shell->shell_mem_size_mib, 512U);
  EXPECT_TRUE(parsed({"--shell"}));
  EXPECT_THAT(error_of(run({"--shell"})), HasSubstr("--no-api"));
  EXPECT_THAT(error_of(parsed({"--shell", "--config-file", "f"})), HasSubstr("--config-file"));
  EXPECT_THAT(error_of(parsed({"--shell-vcpu-count", "1"})), HasSubstr("lacks --shell"));
  EXPECT_THAT(error_of(parsed({"--shell-mem-size-mib", "1"})), HasSubstr("lacks --shell"));
  for (const char* count : {"0", "33", "-1", "x"}) {
    EXPECT_FALSE(parsed({"--shell", "--shell-vcpu-count", count})) << count;
  }
  for (const char* size : {"0", "8388609", "18446744073709551615", "1.5"}) {
    EXPECT_FALSE(parsed({"--shell", "--shell-mem-size-mib", size})) << size;
  }
}

TEST(Arguments, ALoadHasDescriptorsOfItsOwn) {
  const auto load =
      parsed({"--no-api", "--load", "{}", "--load-fd", "4", "--load-fd", "3", "--end-fd", "5"});
  ASSERT_TRUE(load) << load.error().text();
  EXPECT_EQ(load->load, "{}");
  EXPECT_EQ(load->load_fd, (std::vector<int>{4, 3}));
  EXPECT_TRUE(parsed({"--load", "/a"}));
  EXPECT_THAT(error_of(parsed({"--load", "{}", "--config-file", "f"})), HasSubstr("contradict"));
  EXPECT_THAT(error_of(parsed({"--load", "{}", "--shell"})), HasSubstr("does not go with --load"));
  EXPECT_THAT(error_of(parsed({"--load-fd", "4"})), HasSubstr("lacks --load"));
  EXPECT_THAT(error_of(parsed({"--load", "{}", "--load-fd", "4", "--load-fd", "4"})),
              HasSubstr("each must have its own"));
  EXPECT_THAT(error_of(parsed({"--load", "{}", "--load-fd", "4", "--end-fd", "4"})),
              HasSubstr("each must have its own"));
  EXPECT_THAT(error_of(parsed({"--load", "{}", "--load-fd", "1"})), HasSubstr("standard streams"));
  EXPECT_FALSE(parsed({"--load", "{}", "--load-fd", "-1"}));
  EXPECT_FALSE(parsed({"--load"}));
}

TEST(Arguments, AZygoteIsToldTheRestLater) {
  const auto zygote = parsed({"--zygote-fd", "5"});
  ASSERT_TRUE(zygote) << zygote.error().text();
  EXPECT_EQ(zygote->zygote_fd, 5);
  EXPECT_THAT(error_of(parsed({"--zygote-fd", "5", "--no-seccomp"})), HasSubstr("no other flag"));
  EXPECT_THAT(error_of(parsed({"--id", "a", "--zygote-fd", "5"})), HasSubstr("no other flag"));
  EXPECT_FALSE(parsed({"--zygote-fd", "x"}));
  EXPECT_FALSE(parsed({"--zygote-fd"}));
}

TEST(Arguments, WantsAMachineWithoutAnApi) {
  EXPECT_TRUE(parsed({}));
  EXPECT_TRUE(parsed({"--config-file", "f"}));
  EXPECT_TRUE(parsed({"--api-sock", "/s", "--no-api", "--config-file", "f"}));
  EXPECT_THAT(error_of(parsed({"--no-api"})), StartsWith("--no-api lacks --config-file"));
}

TEST(Arguments, RefusesFirecrackersOtherFlagsAsNotBuilt) {
  for (const char* flag : {"--enable-pci"}) {
    for (const Result<Arguments>& result : {run({flag}), run({flag, "x"}), parsed({flag})}) {
      ASSERT_FALSE(result) << flag;
      EXPECT_EQ(result.error().kind(), ErrorKind::kUnsupported) << flag;
      EXPECT_THAT(result.error().text(), StartsWith(fmt::format("{} is not built yet", flag)));
    }
    EXPECT_THAT(help("mote-vmm"), HasSubstr(fmt::format("  {}\n", flag)));
  }
}

TEST(Arguments, SayWhatTheLogIsToBe) {
  const auto config = logger_config(*run({"--level", "warn", "--log-path", "/l", "--show-level"}));
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->level, "warn");
  EXPECT_EQ(config->log_path, "/l");
  EXPECT_EQ(config->show_level, true);
  EXPECT_EQ(config->show_log_origin, std::nullopt);
  for (const char* level : {"", "none", "5", "false"}) {
    EXPECT_THAT(logger_config(*run({"--level", level})).error().text(),
                HasSubstr("it must be Off, Error, Warning, Info, Debug or Trace"));
  }
}

TEST(Help, ListsEveryFlagWithItsValue) {
  EXPECT_THAT(help("mote-vmm"), StartsWith("mote-vmm v"));
  for (const char* flag : {"--no-api ", "--config-file FILE ", "--id ID ", "--boot-timer ",
                           "--level LEVEL ", "--console-fd N ", "--end-fd N ", "--help "}) {
    EXPECT_THAT(help("mote-vmm"), HasSubstr(fmt::format("\n  {}", flag)));
  }
  std::istringstream lines(help("mote-vmm"));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
}

TEST(Version, IsFirecrackersUnderItsName) {
  for (const char* name : {"firecracker", "/usr/bin/firecracker", "./firecracker"}) {
    EXPECT_EQ(acts_as(name), "Firecracker v1.17.0") << name;
    EXPECT_THAT(version(name), StartsWith("Firecracker v1.17.0\nmote-vmm v")) << name;
    EXPECT_THAT(help(name), StartsWith("Firecracker v1.17.0\nmote-vmm v")) << name;
  }
  for (const char* name : {"", "firecracker/x", "firecracker-1.17", "/firecracker/mote-vmm"}) {
    EXPECT_EQ(acts_as(name), "") << name;
    EXPECT_THAT(version(name), StartsWith("mote-vmm v")) << name;
  }
}

TEST(Version, IsTheProjects) {
  EXPECT_THAT(version("mote-vmm"), testing::MatchesRegex("mote-vmm v[0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace mote::vmm

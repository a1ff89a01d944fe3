// Sizes, the end of a stream, the tools of the host, the configuration for mote-vmm.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/size.h"
#include "engine/tail_buffer.h"
#include "engine/tool.h"
#include "engine/vm_config.h"

namespace mote::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Size, UnitsAreOf1024) {
  EXPECT_EQ(*parse_size("0"), 0);
  EXPECT_EQ(*parse_size("17"), 17);
  EXPECT_EQ(*parse_size("17B"), 17);
  for (const char* text : {"2K", "2k", "2KB", "2KiB", "2kib"}) EXPECT_EQ(*parse_size(text), 2048);
  EXPECT_EQ(*parse_size("512M"), 512ULL << 20);
  EXPECT_EQ(*parse_size("3GiB"), 3ULL << 30);
  EXPECT_EQ(*parse_size("1T"), 1ULL << 40);
  EXPECT_EQ(*parse_size("18446744073709551615"), UINT64_MAX);
}

TEST(Size, WhatIsNoSizeIsNamed) {
  for (const char* text : {"", "M", "-1G", "+1G", "1.5G", "1 G", "1GG", "1GBB", "1P", "0x10",
                           "lots", "1iB", " 1", "1\n"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_THAT(size.error().text(), HasSubstr(json::quote(text)));
  }
}

TEST(Size, WhatDoesNotFitIsRefused) {
  for (const char* text :
       {"18446744073709551616", "16777216T", "17179869184G", "99999999999999999M"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
  EXPECT_TRUE(parse_size("16777215T"));
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(TailBuffer, KeepsTheLastLines) {
  TailBuffer buffer(1000);
  EXPECT_TRUE(buffer.last_lines(5).empty());
  buffer.append(bytes_of("one\r\ntwo\nth"));
  buffer.append(bytes_of("ree\nfour"));
  EXPECT_THAT(buffer.last_lines(2), ElementsAre("three", "four"));
  EXPECT_THAT(buffer.last_lines(9), ElementsAre("one", "two", "three", "four"));
  EXPECT_THAT(buffer.lines_with("t"), ElementsAre("two", "three"));
}

TEST(TailBuffer, IsBoundedAndDropsTheLineThatItCut) {
  TailBuffer buffer(100);
  for (int i = 0; i < 100'000; ++i) buffer.append(bytes_of("a line of some length\n"));
  const auto lines = buffer.last_lines(100);
  EXPECT_EQ(lines.size(), 4);
  for (const auto& line : lines) EXPECT_EQ(line, "a line of some length");
}

TEST(TailBuffer, WhatAGuestPrintsCannotCommandATerminal) {
  TailBuffer buffer(100);
  buffer.append(bytes_of("\x1b[2Jclear\a\x7f\ttab\n"));
  EXPECT_THAT(buffer.last_lines(1), ElementsAre("[2Jclear\ttab"));
}

TEST(Tool, IsFoundAndToldOf) {
  EXPECT_EQ(find_tool("no-such-tool-anywhere"), "");
  const std::string sh = find_tool("sh");
  ASSERT_NE(sh, "");
  const UniqueFd keep(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(run_tool({sh, "-c", "exit 0"}, keep));
  EXPECT_TRUE(run_tool({sh, "-c", fmt::format("test -e /proc/self/fd/{}", keep.get())}, keep));
  const auto failed = run_tool({sh, "-c", "echo what is wrong >&2; exit 3"}, keep);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().text(), HasSubstr("status 3: what is wrong"));
  const auto killed = run_tool({sh, "-c", "kill -9 $$"}, keep);
  ASSERT_FALSE(killed);
  EXPECT_THAT(killed.error().text(), HasSubstr("signal 9"));
  EXPECT_FALSE(run_tool({"/no/such/tool"}, keep));
}

TEST(VmConfig, SaysWhatARunNeeds) {
  const std::string text = vm_config_json({.kernel = "/k \"x\"",
                                           .initrd = "/i",
                                           .root_image = "/r",
                                           .cpus = 3,
                                           .memory_mib = 256,
                                           .show_console = false,
                                           .kernel_arguments = "nosmt"});
  ASSERT_TRUE(json::parse(text));
  EXPECT_THAT(text, HasSubstr(R"("kernel_image_path":"/k \"x\"")"));
  EXPECT_THAT(text, HasSubstr(R"("initrd_path":"/i")"));
  EXPECT_THAT(text, HasSubstr(R"("path_on_host":"/r","is_root_device":false,"is_read_only":true)"));
  EXPECT_THAT(text, HasSubstr(R"({"vcpu_count":3,"mem_size_mib":256})"));
}

TEST(VmConfig, CommandLineIsQuietUnlessTheConsoleIsShown) {
  VmPlan plan;
  EXPECT_THAT(kernel_command_line(plan), HasSubstr(" quiet "));
  plan.kernel_arguments = "one two";
  plan.show_console = true;
  const std::string line = kernel_command_line(plan);
  EXPECT_THAT(line, testing::Not(HasSubstr("quiet")));
  EXPECT_TRUE(line.ends_with(" one two")) << line;
}

}  // namespace
}  // namespace mote::engine

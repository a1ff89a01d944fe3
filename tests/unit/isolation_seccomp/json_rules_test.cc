// Rules in the form of Firecracker's compiler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "isolation/seccomp/compile.h"
#include "isolation_seccomp/run_program.h"

namespace mote::seccomp::test {
namespace {

using ::testing::HasSubstr;

std::string thread_of(const std::string& filter, const std::string& matched = "\"allow\"") {
  return R"({"vmm": {"default_action": "trap", "filter_action": )" + matched + R"(, "filter": )" +
         filter + "}}";
}

TEST(JsonRules, BecomePrograms) {
  const auto rules = parse_json_rules(thread_of(R"([
    {"syscall": "read"},
    {"syscall": "ioctl", "comment": "KVM_RUN",
     "args": [{"index": 1, "type": "dword", "op": "eq", "val": 44672, "comment": "KVM_RUN"}]},
    {"syscall": "mmap", "args": [
      {"index": 2, "type": "dword", "op": {"masked_eq": 4}, "val": 0},
      {"index": 1, "type": "qword", "op": "le", "val": 4096}]},
    {"syscall": "socket", "args": null}])"));
  ASSERT_TRUE(rules) << rules.error().text();
  const auto filters = compile(*rules, native_architecture());
  ASSERT_TRUE(filters) << filters.error().text();
  const OwnedProgram& program = filters->at("vmm");
  EXPECT_TRUE(allows(program, "read"));
  EXPECT_TRUE(allows(program, "ioctl", {3, 0xae80}));
  EXPECT_FALSE(allows(program, "ioctl", {3, 0xae81}));
  EXPECT_TRUE(allows(program, "mmap", {0, 4096, 3}));
  EXPECT_FALSE(allows(program, "mmap", {0, 4096, 7}));
  EXPECT_FALSE(allows(program, "mmap", {0, 4097, 3}));
  EXPECT_TRUE(allows(program, "socket"));
  EXPECT_FALSE(allows(program, "write"));
}

TEST(JsonRules, HaveTheActionsOfTheKernel) {
  const auto result_of = [](const std::string& action) {
    const auto rules = parse_json_rules(thread_of(R"([{"syscall": "read"}])", action));
    return run(compile(*rules, native_architecture())->at("vmm"), "read");
  };
  EXPECT_EQ(result_of(R"({"errno": 13})"), SECCOMP_RET_ERRNO | 13);
  EXPECT_EQ(result_of(R"({"trace": 7})"), SECCOMP_RET_TRACE | 7);
  EXPECT_EQ(result_of("\"kill_process\""), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(result_of("\"kill_thread\""), static_cast<std::uint32_t>(SECCOMP_RET_KILL_THREAD));
  EXPECT_EQ(result_of("\"log\""), SECCOMP_RET_LOG);
}

TEST(JsonRules, WhatIsWrongIsSaidWithItsPlace) {
  const auto error_of = [](const std::string& text) {
    const auto rules = parse_json_rules(text);
    return rules ? "none" : rules.error().text();
  };
  const auto argument = [](const std::string& members) {
    return thread_of(R"([{"syscall": "read", "args": [{)" + members + "}]}]");
  };
  EXPECT_THAT(error_of("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(error_of(R"({"vmm": {}})"), HasSubstr("vmm.default_action is missing"));
  EXPECT_THAT(error_of(thread_of("{}")), HasSubstr("vmm.filter is"));
  EXPECT_THAT(error_of(thread_of("[]", "\"explode\"")), HasSubstr("vmm.filter_action is"));
  EXPECT_THAT(error_of(thread_of("[]", R"({"errno": 65536})")), HasSubstr("errno is"));
  EXPECT_THAT(error_of(thread_of("[{}]")), HasSubstr("vmm.filter[0].syscall is missing"));
  EXPECT_THAT(error_of(thread_of(R"([{"syscall": "read", "what": 1}])")),
              HasSubstr("vmm.filter[0].what is not known"));
  EXPECT_THAT(error_of(argument(R"("index": 6, "type": "dword", "op": "eq", "val": 1)")),
              HasSubstr("args[0].index is the number 6"));
  EXPECT_THAT(error_of(argument(R"("index": 0, "type": "word", "op": "eq", "val": 1)")),
              HasSubstr("dword or qword"));
  EXPECT_THAT(error_of(argument(R"("index": 0, "type": "dword", "op": "is", "val": 1)")),
              HasSubstr("masked_eq"));
  EXPECT_THAT(error_of(argument(R"("index": 0, "type": "dword", "op": "eq", "val": -1)")),
              HasSubstr("val is the number -1"));
  EXPECT_THAT(error_of(argument(R"("index": 0, "type": "dword", "op": "eq")")),
              HasSubstr("val is missing"));
}

}  // namespace
}  // namespace mote::seccomp::test

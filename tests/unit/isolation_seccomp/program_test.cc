// Which programs are taken to the kernel at all.
#include "isolation/seccomp/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>

namespace mote::seccomp::test {
namespace {

using ::testing::HasSubstr;

constexpr sock_filter kReturn = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

std::string error_of(const OwnedProgram& program) {
  const auto checked = check(program);
  return checked ? "none" : checked.error().text();
}

TEST(Program, WhatTheKernelTakesIsTaken) {
  EXPECT_TRUE(check(OwnedProgram{kReturn}));
  EXPECT_TRUE(check(OwnedProgram{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60),
                                 BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), BPF_STMT(BPF_ST, 15),
                                 BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 3, 0, 1),
                                 BPF_STMT(BPF_JMP | BPF_JA, 0), kReturn}));
}

TEST(Program, WhatItDoesNotIsRefused) {
  EXPECT_THAT(error_of({}), HasSubstr("no instruction"));
  EXPECT_THAT(error_of(OwnedProgram(BPF_MAXINSNS + 1, kReturn)), HasSubstr("4097 instructions"));
  EXPECT_THAT(error_of({kReturn, BPF_STMT(BPF_LD | BPF_IMM, 0)}), HasSubstr("last and no return"));
  for (const std::uint32_t offset : {64U, 61U, 2U, 0xfffffffcU}) {
    EXPECT_THAT(error_of({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset), kReturn}),
                HasSubstr("no word of seccomp_data"));
  }
  EXPECT_THAT(error_of({BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), kReturn}),
              HasSubstr("unknown code"));
  EXPECT_THAT(error_of({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), kReturn}),
              HasSubstr("out of the program"));
  EXPECT_THAT(error_of({BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), kReturn}),
              HasSubstr("out of the program"));
  EXPECT_THAT(error_of({BPF_STMT(BPF_LD | BPF_MEM, 16), kReturn}), HasSubstr("scratch memory"));
  EXPECT_THAT(error_of({BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), kReturn}),
              HasSubstr("divides by 0"));
  EXPECT_THAT(error_of({BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), kReturn}), HasSubstr("shifts"));
  EXPECT_THAT(error_of({BPF_STMT(0x1000 | BPF_ALU | BPF_AND, 1), kReturn}),
              HasSubstr("unknown code"));
}

}  // namespace
}  // namespace mote::seccomp::test

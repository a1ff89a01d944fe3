#include "isolation/seccomp/program.h"

#include <linux/seccomp.h>

namespace mote::seccomp {
namespace {

template <typename... Args>
std::unexpected<Error> refuse(std::size_t at, fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, "instruction {} {}", at,
              fmt::format(format, std::forward<Args>(args)...));
}

// One that computes, without what it divides or shifts by.
bool is_arithmetic(std::uint16_t code) {
  switch (BPF_OP(code)) {
    case BPF_ADD:
    case BPF_SUB:
    case BPF_MUL:
    case BPF_DIV:
    case BPF_AND:
    case BPF_OR:
    case BPF_XOR:
    case BPF_LSH:
    case BPF_RSH:
      return true;
    default:
      return code == (BPF_ALU | BPF_NEG);
  }
}

Result<void> check_arithmetic(const sock_filter& it, std::size_t at) {
  if (!is_arithmetic(it.code)) return refuse(at, "has the unknown code {:#x}", it.code);
  if (BPF_SRC(it.code) != BPF_K) return {};
  if (BPF_OP(it.code) == BPF_DIV && it.k == 0) return refuse(at, "divides by 0");
  const bool shifts = BPF_OP(it.code) == BPF_LSH || BPF_OP(it.code) == BPF_RSH;
  if (shifts && it.k >= 32) return refuse(at, "shifts by {} bits", it.k);
  return {};
}

Result<void> check_jump(const sock_filter& it, std::size_t at, std::size_t left) {
  switch (BPF_OP(it.code)) {
    case BPF_JA:
      if (it.code != (BPF_JMP | BPF_JA)) break;
      if (it.k >= left) return refuse(at, "jumps out of the program");
      return {};
    case BPF_JEQ:
    case BPF_JGT:
    case BPF_JGE:
    case BPF_JSET:
      if (it.jt >= left || it.jf >= left) return refuse(at, "jumps out of the program");
      return {};
    default:
      break;
  }
  return refuse(at, "has the unknown code {:#x}", it.code);
}

Result<void> check_one(const sock_filter& it, std::size_t at, std::size_t left) {
  switch (it.code) {
    case BPF_LD | BPF_W | BPF_ABS:
      if (it.k % 4 == 0 && it.k < sizeof(seccomp_data)) return {};
      return refuse(at, "loads from {}, which is no word of seccomp_data", it.k);
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
      return {};
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
      if (it.k < BPF_MEMWORDS) return {};
      return refuse(at, "names word {} of the scratch memory, which has {}", it.k, BPF_MEMWORDS);
    default:
      break;
  }
  if (BPF_CLASS(it.code) == BPF_ALU && it.code < 0x100) return check_arithmetic(it, at);
  if (BPF_CLASS(it.code) == BPF_JMP && it.code < 0x100) return check_jump(it, at, left);
  return refuse(at, "has the unknown code {:#x}", it.code);
}

}  // namespace

Result<void> check(Program program) {
  if (program.empty()) return fail(ErrorKind::kInvalid, "it has no instruction");
  if (program.size() > BPF_MAXINSNS) {
    return fail(ErrorKind::kInvalid, "it has {} instructions; the kernel takes {}", program.size(),
                BPF_MAXINSNS);
  }
  for (std::size_t at = 0; at < program.size(); ++at) {
    MOTE_CHECK(check_one(program[at], at, program.size() - at - 1));
  }
  const std::uint16_t last = program.back().code;
  if (BPF_CLASS(last) != BPF_RET) return refuse(program.size() - 1, "is the last and no return");
  return {};
}

}  // namespace mote::seccomp

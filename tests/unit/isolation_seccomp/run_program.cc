#include "isolation_seccomp/run_program.h"

#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace mote::seccomp::test {
namespace {

bool holds(std::uint16_t operation, std::uint32_t left, std::uint32_t right) {
  switch (operation) {
    case BPF_JEQ:
      return left == right;
    case BPF_JGT:
      return left > right;
    case BPF_JGE:
      return left >= right;
    case BPF_JSET:
      return (left & right) != 0;
    default:
      throw std::logic_error("no such jump");
  }
}

struct Run {
  std::uint32_t returned = 0;
  std::size_t steps = 0;
};

Run run_whole(Program program, const seccomp_data& data) {
  std::uint32_t word = 0;
  std::size_t steps = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    ++steps;
    const sock_filter& it = program[at];
    switch (BPF_CLASS(it.code)) {
      case BPF_LD:
        std::memcpy(&word, reinterpret_cast<const char*>(&data) + it.k, sizeof word);
        break;
      case BPF_ALU:
        if (it.code != (BPF_ALU | BPF_AND | BPF_K)) throw std::logic_error("no such arithmetic");
        word &= it.k;
        break;
      case BPF_JMP:
        if (BPF_OP(it.code) == BPF_JA) {
          at += it.k;
        } else {
          at += holds(BPF_OP(it.code), word, it.k) ? it.jt : it.jf;
        }
        break;
      case BPF_RET:
        return {.returned = it.k, .steps = steps};
      default:
        throw std::logic_error("no such instruction");
    }
  }
  throw std::logic_error("it does not return");
}

seccomp_data data_of(const std::string& call, std::initializer_list<std::uint64_t> arguments) {
  seccomp_data data{};
  data.nr = ::seccomp_syscall_resolve_name(call.c_str());
  if (data.nr < 0) throw std::invalid_argument(call);
  data.arch = ::seccomp_arch_native();
  std::ranges::copy(arguments, data.args);
  return data;
}

}  // namespace

std::uint32_t run(Program program, const seccomp_data& data) {
  return run_whole(program, data).returned;
}

std::uint32_t run(Program program, const std::string& call,
                  std::initializer_list<std::uint64_t> arguments) {
  return run(program, data_of(call, arguments));
}

std::size_t steps(Program program, const std::string& call,
                  std::initializer_list<std::uint64_t> arguments) {
  return run_whole(program, data_of(call, arguments)).steps;
}

}  // namespace mote::seccomp::test

#include "isolation/seccomp/compile.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/unique_fd.h"

namespace mote::seccomp {
namespace {

static_assert(std::endian::native == std::endian::little);

struct Release {
  void operator()(scmp_filter_ctx context) const { ::seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

std::uint32_t token_of(Architecture architecture) {
  return architecture == Architecture::kX86_64 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64;
}

std::uint32_t to_library(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAllow:
      return SCMP_ACT_ALLOW;
    case Action::Kind::kTrap:
      return SCMP_ACT_TRAP;
    case Action::Kind::kKillThread:
      return SCMP_ACT_KILL_THREAD;
    case Action::Kind::kKillProcess:
      return SCMP_ACT_KILL_PROCESS;
    case Action::Kind::kLog:
      return SCMP_ACT_LOG;
    case Action::Kind::kErrno:
      return SCMP_ACT_ERRNO(action.data);
    case Action::Kind::kTrace:
      return SCMP_ACT_TRACE(action.data);
  }
  return SCMP_ACT_TRAP;
}

// Bits that an argument has.
struct Bits {
  std::uint64_t mask = 0;
  std::uint64_t value = 0;
};

// What numbers from `first` to `last` (32 bits) have in common, range by range: a comparison of
// half an argument is one of its bits, since the library compares whole ones.
void add_range(std::uint64_t first, std::uint64_t last, std::vector<Bits>& into) {
  while (first <= last) {
    std::uint64_t size = first == 0 ? std::uint64_t{1} << 32 : first & (~first + 1);
    while (size > last - first + 1) size /= 2;
    into.push_back({.mask = 0xffffffff & ~(size - 1), .value = first});
    first += size;
  }
}

std::vector<Bits> bits_of(const Condition& condition) {
  constexpr std::uint64_t kLast = 0xffffffff;
  const std::uint64_t value = condition.value & kLast;
  std::vector<Bits> bits;
  switch (condition.op) {
    case Condition::Op::kEqual:
      bits.push_back({.mask = kLast, .value = value});
      break;
    case Condition::Op::kMasked:
      bits.push_back({.mask = condition.mask & kLast, .value = value & condition.mask});
      break;
    case Condition::Op::kLess:
    case Condition::Op::kNotEqual:
      if (value > 0) add_range(0, value - 1, bits);
      if (condition.op == Condition::Op::kNotEqual) add_range(value + 1, kLast, bits);
      break;
    case Condition::Op::kAtMost:
      add_range(0, value, bits);
      break;
    case Condition::Op::kAtLeast:
      add_range(value, kLast, bits);
      break;
    case Condition::Op::kGreater:
      add_range(value + 1, kLast, bits);
      break;
  }
  return bits;
}

scmp_compare to_library(Condition::Op op) {
  switch (op) {
    case Condition::Op::kEqual:
      return SCMP_CMP_EQ;
    case Condition::Op::kNotEqual:
      return SCMP_CMP_NE;
    case Condition::Op::kLess:
      return SCMP_CMP_LT;
    case Condition::Op::kAtMost:
      return SCMP_CMP_LE;
    case Condition::Op::kAtLeast:
      return SCMP_CMP_GE;
    case Condition::Op::kGreater:
      return SCMP_CMP_GT;
    case Condition::Op::kMasked:
      break;
  }
  return SCMP_CMP_MASKED_EQ;
}

// What the library calls one of these, each of which is enough.
std::vector<scmp_arg_cmp> to_library(const Condition& condition) {
  std::vector<scmp_arg_cmp> either;
  if (condition.wide && condition.op != Condition::Op::kMasked) {
    either.push_back({condition.argument, to_library(condition.op), condition.value, 0});
    return either;
  }
  std::vector<Bits> bits{{.mask = condition.mask, .value = condition.value}};
  if (!condition.wide) bits = bits_of(condition);
  for (const Bits& one : bits) {
    either.push_back({condition.argument, SCMP_CMP_MASKED_EQ, one.mask, one.value});
  }
  return either;
}

Result<int> number_of(const Rule& rule, Architecture architecture) {
  const int number = ::seccomp_syscall_resolve_name_arch(token_of(architecture), rule.call.c_str());
  if (number >= 0) return number;
  return fail(ErrorKind::kInvalid, "{}: '{}' is no system call of {}", rule.place, rule.call,
              name_of(architecture));
}

// The rule as the library's rules, of which each is enough.
std::vector<std::vector<scmp_arg_cmp>> to_library(const Rule& rule) {
  std::vector<std::vector<scmp_arg_cmp>> rules(1);
  for (const Condition& condition : rule.conditions) {
    std::vector<std::vector<scmp_arg_cmp>> product;
    for (const scmp_arg_cmp& compare : to_library(condition)) {
      for (std::vector<scmp_arg_cmp> combined : rules) {
        combined.push_back(compare);
        product.push_back(std::move(combined));
      }
    }
    rules = std::move(product);
  }
  return rules;
}

Result<void> add(scmp_filter_ctx context, const Rule& rule, Architecture architecture) {
  MOTE_CHECK(number_of(rule, architecture));
  // The library takes this machine's number, whatever architecture it is to be for.
  const int number = ::seccomp_syscall_resolve_name(rule.call.c_str());
  for (const std::vector<scmp_arg_cmp>& compares : to_library(rule)) {
    const int status =
        ::seccomp_rule_add_exact_array(context, to_library(rule.action), number,
                                       static_cast<unsigned>(compares.size()), compares.data());
    if (status == 0 || status == -EEXIST) continue;
    if (status == -EACCES) {
      return fail(ErrorKind::kInvalid, "{}: what becomes of {} becomes of every call already",
                  rule.place, rule.call);
    }
    return fail_errno(-status, "{}: {}", rule.place, rule.call);
  }
  return {};
}

Result<OwnedProgram> read_program(scmp_filter_ctx context) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (!file) return fail_errno(errno, "make a file in memory");
  if (const int status = ::seccomp_export_bpf(context, file.get()); status < 0) {
    return fail_errno(-status, "write a filter");
  }
  OwnedProgram program(BPF_MAXINSNS + 1);
  MOTE_TRY(const std::size_t size,
           read_at(file.get(), std::as_writable_bytes(std::span(program)), 0));
  program.resize(size / sizeof(sock_filter));
  return program;
}

sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
// Skips `skipped` instructions unless the loaded word is `value`.
sock_filter unless(std::uint32_t value, std::size_t skipped) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, static_cast<std::uint8_t>(skipped));
}

// The calls that are made most often, in front of what the library makes: it sorts by number.
Result<OwnedProgram> often_part(const ThreadRules& thread, Architecture architecture) {
  OwnedProgram part;
  for (const Rule& rule : thread.rules) {
    if (!rule.often) continue;
    MOTE_TRY(const int number, number_of(rule, architecture));
    std::size_t left = 2 * rule.conditions.size() + 1;
    part.push_back(load(offsetof(seccomp_data, nr)));
    part.push_back(unless(static_cast<std::uint32_t>(number), left));
    for (const Condition& condition : rule.conditions) {
      part.push_back(
          load(offsetof(seccomp_data, args) + condition.argument * sizeof(std::uint64_t)));
      part.push_back(unless(static_cast<std::uint32_t>(condition.value), left -= 2));
    }
    part.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  if (part.empty()) return part;
  if (part.size() > 255) {
    return fail(ErrorKind::kInvalid, "[{}] has too many calls that are made often", thread.name);
  }
  part.insert(part.begin(),
              {load(offsetof(seccomp_data, arch)), unless(token_of(architecture), part.size())});
  return part;
}

}  // namespace

Result<OwnedProgram> compile(const ThreadRules& thread, Architecture architecture) {
  const std::uint32_t otherwise = to_library(thread.otherwise);
  const Context context(::seccomp_init(otherwise));
  if (context == nullptr) return fail(ErrorKind::kResource, "there is no room for a filter");
  const std::uint32_t token = token_of(architecture);
  bool ready = ::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, otherwise) == 0;
  if (token != ::seccomp_arch_native()) {
    ready = ready && ::seccomp_arch_add(context.get(), token) == 0 &&
            ::seccomp_arch_remove(context.get(), ::seccomp_arch_native()) == 0;
  }
  // A tree, and not a list: the kernel walks it once for each call that there is when it takes the
  // filter, to learn which need no look at their arguments.
  ready = ready && ::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0;
  if (!ready) return fail(ErrorKind::kInternal, "libseccomp does not take what it is set to");
  for (const Rule& rule : thread.rules) MOTE_CHECK(add(context.get(), rule, architecture));
  MOTE_TRY(OwnedProgram program, often_part(thread, architecture));
  MOTE_TRY(const OwnedProgram rest, read_program(context.get()));
  program.insert(program.end(), rest.begin(), rest.end());
  MOTE_CHECK_WITHIN(check(program), "the filter '{}'", thread.name);
  return program;
}

Result<FilterMap> compile(const RuleSet& rules, Architecture architecture) {
  FilterMap filters;
  for (const ThreadRules& thread : rules) {
    MOTE_TRY(OwnedProgram program, compile(thread, architecture));
    filters.insert_or_assign(thread.name, std::move(program));
  }
  return filters;
}

std::string resolve_call(int number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
  return name ? std::string(name.get()) : std::string();
}

int highest_call() {
  // No architecture's table comes near it.
  constexpr int kEnd = 1024;
  int highest = 0;
  for (int number = 0; number < kEnd; ++number) {
    if (!resolve_call(number).empty()) highest = number;
  }
  return highest;
}

}  // namespace mote::seccomp

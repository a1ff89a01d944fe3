// Which system calls a thread may make, as people write it: a table a thread, a line a call, with
// the reason for it. docs/seccomp.md has the language.
//
//   [vcpu]
//   often ioctl(_, KVM_RUN)                   : enters the guest
//   madvise(_, _, MADV_DONTNEED or MADV_FREE) : malloc gives memory back
//   mmap(_, _, in PROT_READ|PROT_WRITE)       : malloc
//   clone3 -> ENOSYS                          : its flags cannot be looked at; glibc goes on to
//   clone x86_64 epoll_wait                         : as glibc calls it on this architecture
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mote::seccomp {

enum class Architecture : std::uint8_t { kX86_64, kAarch64 };
// As in `x86_64`. Error: no architecture that filters are made for.
Result<Architecture> architecture_from_name(std::string_view name);
std::string_view name_of(Architecture architecture);
Architecture native_architecture();

// What becomes of a call.
struct Action {
  enum class Kind : std::uint8_t {
    kAllow,
    kTrap,  // SIGSYS: the monitor says what it was and ends
    kKillThread,
    kKillProcess,
    kLog,    // allowed, and in the kernel's log
    kErrno,  // fails with `data`
    kTrace,  // a tracer is told `data`
  };
  Kind kind = Kind::kTrap;
  std::uint16_t data = 0;
  bool operator==(const Action&) const = default;
};

// What an argument must be.
struct Condition {
  enum class Op : std::uint8_t { kEqual, kNotEqual, kLess, kAtMost, kAtLeast, kGreater, kMasked };
  std::uint8_t argument = 0;  // 0 to 5
  Op op = Op::kEqual;
  bool wide = false;       // all 64 bits count; else the low 32, as the kernel looks at no others
  std::uint64_t mask = 0;  // of kMasked: of these bits the argument has `value`
  std::uint64_t value = 0;
  bool operator==(const Condition&) const = default;
};

struct Rule {
  std::string call;
  std::vector<Condition> conditions;  // all hold
  Action action;
  // Looked at before others for the same call, and the call before others.
  bool often = false;
  std::string text;    // the line that it came from, without its reason
  std::string reason;  // may be empty in Firecracker's form
  std::string place;   // "<file>:<line>"
};

struct ThreadRules {
  std::string name;
  Action otherwise = {};  // what no rule matches
  std::vector<Rule> rules;
};
using RuleSet = std::vector<ThreadRules>;

// Collects tables from texts: what several say of one thread is added up.
class Tables {
 public:
  explicit Tables(Architecture architecture) : architecture_(architecture) {}

  // Adds a text that is called `name`. The error says where and what.
  Result<void> add(std::string_view text, const std::string& name);
  // The threads in the order in which they came first, each with the rules of those that it
  // includes behind its own. Errors: a thread includes one that there is not, or itself.
  Result<RuleSet> finish() const;

 private:
  struct Section {
    std::string name;
    std::vector<std::string> includes;
    std::vector<Rule> rules;
  };
  Section& section(std::string_view name);
  const Section* find(std::string_view name) const;
  Result<void> add_line(std::string_view line, const std::string& place,
                        std::vector<std::string>& current);
  Result<void> open_sections(std::string_view head, std::vector<std::string>& current);
  Result<void> gather(const Section& from, std::vector<std::string_view>& path,
                      std::vector<Rule>& into) const;

  Architecture architecture_;
  std::vector<Section> sections_;
};

// Reads the form that Firecracker's seccompiler-bin takes: JSON, threads by name.
Result<RuleSet> parse_json_rules(std::string_view text);

// The number that a name of the kernel's headers (or a number) means, or names with | between
// them. Errors name what is none.
Result<std::uint64_t> value_of(std::string_view text);

}  // namespace mote::seccomp

#include "programs/mote/seccomp.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/json.h"
#include "base/unique_fd.h"
#include "isolation/seccomp/built_in_tables.h"
#include "isolation/seccomp/compile.h"
#include "isolation/seccomp/filter_file.h"
#include "isolation/seccomp/rules.h"

namespace mote::cli {
namespace {

using seccomp::Architecture;
using seccomp::Condition;
using seccomp::Rule;
using seccomp::RuleSet;
using seccomp::ThreadRules;

constexpr std::size_t kMaxRules = std::size_t{1} << 20;

std::size_t count_calls(const ThreadRules& thread) {
  std::set<std::string_view> calls;
  for (const Rule& rule : thread.rules) calls.insert(rule.call);
  return calls.size();
}

std::string_view name_of(Condition::Op op) {
  static constexpr std::array<std::string_view, 7> kNames{"eq", "ne", "lt",       "le",
                                                          "ge", "gt", "masked_eq"};
  return kNames[static_cast<std::size_t>(op)];
}

std::string_view name_of(seccomp::Action::Kind kind) {
  static constexpr std::array<std::string_view, 7> kNames{
      "allow", "trap", "kill_thread", "kill_process", "log", "errno", "trace"};
  return kNames[static_cast<std::size_t>(kind)];
}

void put(json::Writer& out, std::string_view key, std::string_view value) {
  out.key(key);
  out.string(value);
}

void put(json::Writer& out, const Rule& rule) {
  out.begin_object();
  put(out, "syscall", rule.call);
  put(out, "action", name_of(rule.action.kind));
  put(out, "rule", rule.text);
  put(out, "reason", rule.reason);
  put(out, "place", rule.place);
  out.key("args");
  out.begin_array();
  for (const Condition& condition : rule.conditions) {
    out.begin_object();
    out.key("index");
    out.integer(std::uint64_t{condition.argument});
    put(out, "type", condition.wide ? "qword" : "dword");
    put(out, "op", name_of(condition.op));
    if (condition.op == Condition::Op::kMasked) {
      out.key("mask");
      out.integer(condition.mask);
    }
    out.key("val");
    out.integer(condition.value);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

std::string to_json(const RuleSet& rules) {
  json::Writer out;
  out.begin_object();
  for (const ThreadRules& thread : rules) {
    out.key(thread.name);
    out.begin_array();
    for (const Rule& rule : thread.rules) put(out, rule);
    out.end_array();
  }
  out.end_object();
  return std::move(out).take() + "\n";
}

// A line as it was written stands for several rules where an argument may be one of some values.
std::string to_text(const ThreadRules& thread) {
  std::string out = fmt::format("# {} system calls\n[{}]\n", count_calls(thread), thread.name);
  std::string_view file;
  const std::string* last = nullptr;
  for (const Rule& rule : thread.rules) {
    if (last != nullptr && *last == rule.place) continue;
    last = &rule.place;
    const auto of = std::string_view(rule.place).substr(0, rule.place.rfind(':'));
    if (of != file) out += fmt::format("# src/{}\n", of);
    file = of;
    out += fmt::format("{:<45} : {}\n", rule.text, rule.reason);
  }
  return out;
}

Result<RuleSet> read_rules(const SeccompCompile& request, Architecture architecture) {
  seccomp::Tables tables(architecture);
  RuleSet rules;
  for (const std::string& path : request.inputs) {
    MOTE_TRY(const UniqueFd file, open_file(path, O_RDONLY));
    MOTE_TRY(const std::string text, read_all(file.get(), kMaxRules));
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin == text.npos || text[begin] != '{') {
      MOTE_CHECK(tables.add(text, path));
      continue;
    }
    MOTE_TRY(RuleSet read, seccomp::parse_json_rules(text));
    std::ranges::move(read, std::back_inserter(rules));
  }
  MOTE_TRY(RuleSet own, tables.finish());
  std::ranges::move(own, std::back_inserter(rules));
  if (rules.empty()) return fail(ErrorKind::kInvalid, "there is no thread in what was given");
  return rules;
}

// Under another name first, so that nobody reads half a file.
Result<void> write_file(const std::string& path, std::span<const std::byte> bytes) {
  const std::string unfinished = fmt::format("{}.{}", path, ::getpid());
  {
    MOTE_TRY(const UniqueFd file,
             open_file(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_TRUNC, 0644));
    MOTE_CHECK(write_all(file.get(), bytes));
  }
  if (::rename(unfinished.c_str(), path.c_str()) == 0) return {};
  const int code = errno;
  ::unlink(unfinished.c_str());
  return fail_errno(code, "write '{}'", path);
}

}  // namespace

Result<std::string> seccomp_show(const SeccompShow& request) {
  MOTE_TRY(RuleSet rules, seccomp::built_in_rules());
  if (!request.thread.empty()) {
    const auto found = std::ranges::find(rules, request.thread, &ThreadRules::name);
    if (found == rules.end()) {
      return fail(
          ErrorKind::kInvalid,
          "there is no thread {}; those are setup, launch, vmm, served, api, vcpu and worker",
          json::quote(request.thread));
    }
    rules = RuleSet{*found};
  }
  if (request.json) return to_json(rules);
  std::string out;
  for (const ThreadRules& thread : rules) {
    if (!out.empty()) out += "\n";
    out += to_text(thread);
  }
  return out;
}

Result<void> seccomp_compile(const SeccompCompile& request) {
  Architecture architecture = seccomp::native_architecture();
  if (!request.architecture.empty()) {
    MOTE_TRY(architecture, seccomp::architecture_from_name(request.architecture));
  }
  MOTE_TRY(const RuleSet rules, read_rules(request, architecture));
  MOTE_TRY(const seccomp::FilterMap filters, seccomp::compile(rules, architecture));
  if (!request.split) {
    const std::string bytes = seccomp::write_filters(filters);
    return write_file(request.output, std::as_bytes(std::span(bytes)));
  }
  for (const auto& [name, program] : filters) {
    MOTE_CHECK(
        write_file(fmt::format("{}.{}", request.output, name), std::as_bytes(std::span(program))));
  }
  return {};
}

}  // namespace mote::cli

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "base/json.h"
#include "isolation/seccomp/rules.h"

namespace mote::seccomp {
namespace {

using json::Path;
using json::Value;

constexpr std::uint64_t kLastArgument = 5;

std::optional<std::uint64_t> number_in(const Value& value) {
  if (const auto* number = value.as<std::uint64_t>()) return *number;
  const auto* number = value.as<std::int64_t>();
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

Result<std::uint64_t> number(const Value& value, const Path& path, std::uint64_t most) {
  const auto found = number_in(value);
  if (found && *found <= most) return *found;
  return json::mismatch(path, value, fmt::format("a number from 0 to {}", most));
}

Result<std::string> string(const Value& value, const Path& path) {
  if (const auto* text = value.as<std::string>()) return *text;
  return json::mismatch(path, value, "a string");
}

Result<const Value::Object*> object(const Value& value, const Path& path) {
  if (const auto* members = value.as<Value::Object>()) return members;
  return json::mismatch(path, value, "an object");
}

const Value* find(const Value::Object& members, std::string_view name) {
  const auto found = std::ranges::find(members, name, &json::Member::name);
  return found == members.end() ? nullptr : &found->value;
}

Result<const Value*> need(const Value::Object& members, const Path& path, std::string_view name) {
  if (const Value* value = find(members, name)) return value;
  return fail(ErrorKind::kInvalid, "{} is missing", Path(path, name).text());
}

Result<void> know_all(const Value::Object& members, const Path& path,
                      std::initializer_list<std::string_view> known) {
  for (const json::Member& member : members) {
    if (std::ranges::find(known, member.name) != known.end()) continue;
    return fail(ErrorKind::kInvalid, "{} is not known here", Path(path, member.name).text());
  }
  return {};
}

// {"errno": 1}: the one member that `value` is.
const json::Member* only_member(const Value& value) {
  const auto* members = value.as<Value::Object>();
  return members != nullptr && members->size() == 1 ? &members->front() : nullptr;
}

Result<Action> parse_action(const Value& value, const Path& path) {
  struct Named {
    std::string_view name;
    Action::Kind kind;
  };
  static constexpr std::array kPlain{
      Named{"allow", Action::Kind::kAllow}, Named{"trap", Action::Kind::kTrap},
      Named{"kill_thread", Action::Kind::kKillThread},
      Named{"kill_process", Action::Kind::kKillProcess}, Named{"log", Action::Kind::kLog}};
  if (const auto* text = value.as<std::string>()) {
    const auto found = std::ranges::find(kPlain, *text, &Named::name);
    if (found != kPlain.end()) return Action{.kind = found->kind};
  }
  if (const json::Member* member = only_member(value)) {
    const bool is_errno = member->name == "errno";
    if (is_errno || member->name == "trace") {
      MOTE_TRY(const std::uint64_t data, number(member->value, Path(path, member->name),
                                                std::numeric_limits<std::uint16_t>::max()));
      return Action{.kind = is_errno ? Action::Kind::kErrno : Action::Kind::kTrace,
                    .data = static_cast<std::uint16_t>(data)};
    }
  }
  return json::mismatch(
      path, value,
      "allow, trap, kill_thread, kill_process, log, {\"errno\": N} or {\"trace\": "
      "N}");
}

Result<void> parse_op(const Value& value, const Path& path, Condition& into) {
  struct Named {
    std::string_view name;
    Condition::Op op;
  };
  static constexpr std::array kPlain{
      Named{"eq", Condition::Op::kEqual},   Named{"ne", Condition::Op::kNotEqual},
      Named{"lt", Condition::Op::kLess},    Named{"le", Condition::Op::kAtMost},
      Named{"ge", Condition::Op::kAtLeast}, Named{"gt", Condition::Op::kGreater}};
  if (const auto* text = value.as<std::string>()) {
    const auto found = std::ranges::find(kPlain, *text, &Named::name);
    if (found == kPlain.end()) {
      return json::mismatch(path, value, "eq, ne, lt, le, ge, gt or {\"masked_eq\": N}");
    }
    into.op = found->op;
    return {};
  }
  const json::Member* member = only_member(value);
  if (member == nullptr || member->name != "masked_eq") {
    return json::mismatch(path, value, "eq, ne, lt, le, ge, gt or {\"masked_eq\": N}");
  }
  into.op = Condition::Op::kMasked;
  MOTE_TRY(into.mask, number(member->value, Path(path, member->name),
                             std::numeric_limits<std::uint64_t>::max()));
  return {};
}

Result<Condition> parse_argument(const Value& value, const Path& path) {
  MOTE_TRY(const auto* const members, object(value, path));
  MOTE_CHECK(know_all(*members, path, {"index", "type", "op", "val", "comment"}));
  Condition condition;
  MOTE_TRY(const Value* const index, need(*members, path, "index"));
  MOTE_TRY(const std::uint64_t argument, number(*index, Path(path, "index"), kLastArgument));
  condition.argument = static_cast<std::uint8_t>(argument);
  MOTE_TRY(const Value* const type, need(*members, path, "type"));
  MOTE_TRY(const std::string width, string(*type, Path(path, "type")));
  if (width != "dword" && width != "qword") {
    return json::mismatch(Path(path, "type"), *type, "dword or qword");
  }
  condition.wide = width == "qword";
  MOTE_TRY(const Value* const op, need(*members, path, "op"));
  MOTE_CHECK(parse_op(*op, Path(path, "op"), condition));
  MOTE_TRY(const Value* const operand, need(*members, path, "val"));
  MOTE_TRY(condition.value,
           number(*operand, Path(path, "val"), std::numeric_limits<std::uint64_t>::max()));
  if (!condition.wide) {
    condition.value &= 0xffffffff;
    condition.mask &= 0xffffffff;
  }
  if (condition.op == Condition::Op::kMasked) condition.value &= condition.mask;
  return condition;
}

Result<Rule> parse_rule(const Value& value, const Path& path) {
  MOTE_TRY(const auto* const members, object(value, path));
  MOTE_CHECK(know_all(*members, path, {"syscall", "args", "comment"}));
  Rule rule;
  rule.place = path.text();
  MOTE_TRY(const Value* const call, need(*members, path, "syscall"));
  MOTE_TRY(rule.call, string(*call, Path(path, "syscall")));
  rule.text = rule.call;
  if (const Value* comment = find(*members, "comment")) {
    MOTE_TRY(rule.reason, string(*comment, Path(path, "comment")));
  }
  const Value* const arguments = find(*members, "args");
  if (arguments == nullptr || arguments->is_null()) return rule;
  const Path place(path, "args");
  const auto* const list = arguments->as<Value::Array>();
  if (list == nullptr) return json::mismatch(place, *arguments, "a list");
  for (std::size_t i = 0; i < list->size(); ++i) {
    MOTE_TRY(const Condition condition, parse_argument((*list)[i], Path(place, i)));
    rule.conditions.push_back(condition);
  }
  return rule;
}

Result<ThreadRules> parse_thread(const json::Member& member, const Path& path) {
  MOTE_TRY(const auto* const members, object(member.value, path));
  MOTE_CHECK(know_all(*members, path, {"default_action", "filter_action", "filter"}));
  ThreadRules thread{.name = member.name, .otherwise = {}, .rules = {}};
  MOTE_TRY(const Value* const otherwise, need(*members, path, "default_action"));
  MOTE_TRY(thread.otherwise, parse_action(*otherwise, Path(path, "default_action")));
  MOTE_TRY(const Value* const matched, need(*members, path, "filter_action"));
  MOTE_TRY(const Action action, parse_action(*matched, Path(path, "filter_action")));
  const Path place(path, "filter");
  MOTE_TRY(const Value* const filter, need(*members, path, "filter"));
  const auto* const list = filter->as<Value::Array>();
  if (list == nullptr) return json::mismatch(place, *filter, "a list");
  for (std::size_t i = 0; i < list->size(); ++i) {
    MOTE_TRY(Rule rule, parse_rule((*list)[i], Path(place, i)));
    rule.action = action;
    thread.rules.push_back(std::move(rule));
  }
  return thread;
}

}  // namespace

Result<RuleSet> parse_json_rules(std::string_view text) {
  const Path top("the rules");
  MOTE_TRY(const Value document, json::parse(text, top));
  MOTE_TRY(const auto* const threads, object(document, top));
  RuleSet set;
  for (const json::Member& member : *threads) {
    MOTE_TRY(ThreadRules thread, parse_thread(member, Path(top, member.name)));
    set.push_back(std::move(thread));
  }
  return set;
}

}  // namespace mote::seccomp

#include "isolation/seccomp/rule_line.h"

#include <errno.h>

#include <algorithm>
#include <cctype>

#include "base/json.h"

namespace mote::seccomp {
namespace {

constexpr std::size_t kArguments = 6;
// Of one line; more would be a mistake.
constexpr std::size_t kMaxAlternatives = 256;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

template <typename... Args>
std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return fail(ErrorKind::kInvalid, format, std::forward<Args>(args)...);
}

// The part of `text` before `separator`, which `text` loses with it.
std::string_view take_until(std::string_view& text, std::string_view separator) {
  const std::size_t at = text.find(separator);
  const std::string_view part = trim(text.substr(0, at));
  text = at == text.npos ? std::string_view() : text.substr(at + separator.size());
  return part;
}

// Drops `word` from the start of `text`, if it is the first of its words.
bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word) || text.size() == word.size() || !is_space(text[word.size()]))
    return false;
  text = trim(text.substr(word.size()));
  return true;
}

struct Operator {
  std::string_view text;
  Condition::Op op;
};
// Longer ones first, as one may begin another.
constexpr Operator kOperators[]{{"<=", Condition::Op::kAtMost},   {">=", Condition::Op::kAtLeast},
                                {"!=", Condition::Op::kNotEqual}, {"<", Condition::Op::kLess},
                                {">", Condition::Op::kGreater},   {"=", Condition::Op::kEqual}};

// "KVM_RUN", "in PROT_READ|PROT_WRITE", "& MASK = VALUE", "<= 4"; each perhaps after "long".
Result<Condition> parse_condition(std::string_view text) {
  Condition condition;
  condition.wide = take_word(text, "long");
  if (take_word(text, "in")) {
    MOTE_TRY(const std::uint64_t bits, value_of(text));
    condition.op = Condition::Op::kMasked;
    condition.mask = condition.wide ? ~bits : ~bits & 0xffffffff;
    return condition;
  }
  if (text.starts_with('&')) {
    std::string_view rest = text.substr(1);
    const std::string_view mask = take_until(rest, "=");
    condition.op = Condition::Op::kMasked;
    MOTE_TRY(condition.mask, value_of(mask));
    MOTE_TRY(condition.value, value_of(trim(rest)));
    return condition;
  }
  for (const Operator& known : kOperators) {
    if (!text.starts_with(known.text)) continue;
    condition.op = known.op;
    text = trim(text.substr(known.text.size()));
    break;
  }
  MOTE_TRY(condition.value, value_of(text));
  return condition;
}

// Each combination of what `conditions` has so far and one of `alternatives`.
Result<void> multiply(std::vector<std::vector<Condition>>& conditions,
                      const std::vector<Condition>& alternatives) {
  if (conditions.size() * alternatives.size() > kMaxAlternatives) {
    return refuse("it stands for more than {} rules", kMaxAlternatives);
  }
  std::vector<std::vector<Condition>> product;
  for (const Condition& alternative : alternatives) {
    for (std::vector<Condition> combined : conditions) {
      combined.push_back(alternative);
      product.push_back(std::move(combined));
    }
  }
  conditions = std::move(product);
  return {};
}

Result<std::vector<std::vector<Condition>>> parse_arguments(std::string_view text) {
  std::vector<std::vector<Condition>> conditions(1);
  for (std::size_t argument = 0; !text.empty(); ++argument) {
    if (argument == kArguments) return refuse("a call has at most {} arguments", kArguments);
    std::string_view rest = take_until(text, ",");
    if (rest == "_") continue;
    if (rest.empty()) return refuse("argument {} is empty; _ is any", argument);
    std::vector<Condition> alternatives;
    while (!rest.empty()) {
      MOTE_TRY(Condition condition, parse_condition(take_until(rest, " or ")));
      condition.argument = static_cast<std::uint8_t>(argument);
      alternatives.push_back(condition);
    }
    MOTE_CHECK(multiply(conditions, alternatives));
  }
  return conditions;
}

Result<Action> parse_action(std::string_view text) {
  if (text == "allow") return Action{.kind = Action::Kind::kAllow};
  if (text == "trap") return Action{.kind = Action::Kind::kTrap};
  if (text == "kill") return Action{.kind = Action::Kind::kKillProcess};
  if (text == "log") return Action{.kind = Action::Kind::kLog};
  if (text.starts_with('E')) {
    MOTE_TRY(const std::uint64_t code, value_of(text));
    return Action{.kind = Action::Kind::kErrno, .data = static_cast<std::uint16_t>(code)};
  }
  return refuse(
      "{} is nothing that becomes of a call: allow, trap, kill, log, or an error as EPERM",
      json::quote(text));
}

}  // namespace

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  for (text = trim(text); !text.empty(); text = trim(text)) {
    std::size_t end = 0;
    while (end < text.size() && !is_space(text[end])) ++end;
    found.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return found;
}

bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

Result<std::vector<Rule>> parse_line(std::string_view line, Architecture architecture) {
  Rule rule;
  const std::size_t colon = line.find(" : ");
  if (colon == line.npos) return refuse("it lacks its reason, behind \" : \"");
  rule.reason = trim(line.substr(colon + 3));
  std::string_view rest = trim(line.substr(0, colon));
  for (const Architecture known : {Architecture::kX86_64, Architecture::kAarch64}) {
    if (take_word(rest, name_of(known)) && known != architecture) return std::vector<Rule>{};
  }
  rule.text = rest;
  rule.often = take_word(rest, "often");
  std::string_view call = take_until(rest, "->");
  rule.action = {.kind = Action::Kind::kAllow};
  if (!rest.empty()) {
    MOTE_TRY(rule.action, parse_action(trim(rest)));
  }
  std::string_view arguments;
  if (const std::size_t open = call.find('('); open != call.npos) {
    if (call.back() != ')') return refuse("the arguments lack their )");
    arguments = call.substr(open + 1, call.size() - open - 2);
    call = trim(call.substr(0, open));
  }
  if (!is_word(call)) return refuse("{} is no name of a system call", json::quote(call));
  rule.call = call;
  MOTE_TRY(const auto alternatives, parse_arguments(trim(arguments)));
  std::vector<Rule> rules;
  for (const std::vector<Condition>& conditions : alternatives) {
    rule.conditions = conditions;
    rules.push_back(rule);
  }
  return rules;
}

}  // namespace mote::seccomp

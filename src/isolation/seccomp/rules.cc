#include "isolation/seccomp/rules.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "isolation/seccomp/rule_line.h"

namespace mote::seccomp {
namespace {

constexpr std::pair<std::string_view, Architecture> kArchitectures[]{
    {"x86_64", Architecture::kX86_64}, {"aarch64", Architecture::kAarch64}};

}  // namespace

Result<Architecture> architecture_from_name(std::string_view name) {
  for (const auto& [known, architecture] : kArchitectures) {
    if (name == known) return architecture;
  }
  return fail(ErrorKind::kInvalid,
              "{} is no architecture that filters are made for; those are x86_64 and aarch64",
              json::quote(name));
}

std::string_view name_of(Architecture architecture) {
  return architecture == Architecture::kX86_64 ? "x86_64" : "aarch64";
}

Architecture native_architecture() {
#if defined(__x86_64__)
  return Architecture::kX86_64;
#elif defined(__aarch64__)
  return Architecture::kAarch64;
#else
#error "no filters are made for this architecture"
#endif
}

// Lines in
// ------------------------------------------------------------------------------------------------

Result<void> Tables::add(std::string_view text, const std::string& name) {
  std::vector<std::string> current;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string place = fmt::format("{}:{}", name, number);
    if (auto added = add_line(trim(text.substr(0, end)), place, current); !added) {
      return std::unexpected(std::move(added.error()).within(place));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

Result<void> Tables::add_line(std::string_view line, const std::string& place,
                              std::vector<std::string>& current) {
  if (line.empty() || line.front() == '#') return {};
  if (line.front() == '[') return open_sections(line, current);
  if (current.empty()) {
    return fail(ErrorKind::kInvalid, "a rule comes after the [THREAD] that it is for");
  }
  MOTE_TRY(const auto parsed, parse_line(line, architecture_));
  for (Rule rule : parsed) {
    rule.place = place;
    for (const std::string& name : current) section(name).rules.push_back(rule);
  }
  return {};
}

// "[vmm vcpu]", or "[setup + vmm vcpu]": what the names after the plus have is the first's as well.
Result<void> Tables::open_sections(std::string_view head, std::vector<std::string>& current) {
  if (head.back() != ']') return fail(ErrorKind::kInvalid, "the line lacks its ]");
  head = head.substr(1, head.size() - 2);
  const std::size_t plus = std::min(head.find('+'), head.size());
  current.clear();
  for (const std::string_view name : words(head.substr(0, plus))) {
    if (!is_word(name)) {
      return fail(ErrorKind::kInvalid, "{} is no name of a thread", json::quote(name));
    }
    current.emplace_back(name);
  }
  if (current.empty()) return fail(ErrorKind::kInvalid, "the brackets name no thread");
  for (const std::string& name : current) {
    Section& into = section(name);
    for (const std::string_view other : words(head.substr(std::min(plus + 1, head.size())))) {
      into.includes.emplace_back(other);
    }
  }
  return {};
}

Tables::Section& Tables::section(std::string_view name) {
  const auto found = std::ranges::find(sections_, name, &Section::name);
  if (found != sections_.end()) return *found;
  sections_.push_back({.name = std::string(name), .includes = {}, .rules = {}});
  return sections_.back();
}

// Threads out
// ------------------------------------------------------------------------------------------------

const Tables::Section* Tables::find(std::string_view name) const {
  const auto found = std::ranges::find(sections_, name, &Section::name);
  return found == sections_.end() ? nullptr : &*found;
}

Result<void> Tables::gather(const Section& from, std::vector<std::string_view>& path,
                            std::vector<Rule>& into) const {
  if (std::ranges::find(path, from.name) != path.end()) {
    return fail(ErrorKind::kInvalid, "[{}] includes itself", from.name);
  }
  path.push_back(from.name);
  for (const Rule& rule : from.rules) {
    const bool there = std::ranges::any_of(into, [&](const Rule& other) {
      return other.call == rule.call && other.conditions == rule.conditions &&
             other.action == rule.action;
    });
    if (!there) into.push_back(rule);
  }
  for (const std::string& name : from.includes) {
    const Section* other = find(name);
    if (other == nullptr) {
      return fail(ErrorKind::kInvalid, "[{}] includes {}, which there is not", from.name,
                  json::quote(name));
    }
    MOTE_CHECK(gather(*other, path, into));
  }
  path.pop_back();
  return {};
}

Result<RuleSet> Tables::finish() const {
  RuleSet set;
  for (const Section& from : sections_) {
    ThreadRules made{.name = from.name, .otherwise = {}, .rules = {}};
    std::vector<std::string_view> path;
    MOTE_CHECK(gather(from, path, made.rules));
    set.push_back(std::move(made));
  }
  return set;
}

}  // namespace mote::seccomp

#include "base/failure_log.h"

#include <algorithm>
#include <functional>
#include <span>
#include <string>

#include "base/log_subject.h"

namespace mote::log {

namespace {

// `text` without its numbers, decimal or with 0x.
std::string without_numbers(std::string_view text) {
  std::string rest;
  bool in_number = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    in_number = digit || (in_number && letter);
    if (!in_number) rest.push_back(c);
  }
  return rest;
}

}  // namespace

void FailureLog::tell(Level level, std::string_view name, std::string_view text,
                      std::source_location where) {
  if (kinds_ == kMostKinds || !enabled(level)) return;
  constexpr std::hash<std::string_view> hash;
  const std::size_t kind = hash(without_numbers(text));
  const auto told = std::span(told_).first(kinds_);
  if (std::ranges::find(told, kind) != told.end()) return;
  told_[kinds_++] = kind;
  write_of(hash(name), level,
           fmt::format("{}{} (more of these are counted, not logged)", name, text), where);
}

}  // namespace mote::log

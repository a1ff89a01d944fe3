#include "base/failure_log.h"

#include <algorithm>
#include <functional>
#include <span>
#include <string>

#include "base/log_subject.h"

namespace mote::log {

void FailureLog::tell(Level level, std::string_view name, std::string_view text,
                      std::source_location where) {
  if (kinds_ == kMostKinds || !enabled(level)) return;
  constexpr std::hash<std::string_view> hash;
  std::string without_numbers(text);
  std::erase_if(without_numbers, [](char c) { return c >= '0' && c <= '9'; });
  const std::size_t kind = hash(without_numbers);
  const auto told = std::span(told_).first(kinds_);
  if (std::ranges::find(told, kind) != told.end()) return;
  told_[kinds_++] = kind;
  write_of(hash(name), level,
           fmt::format("{}{} (more of these are counted, not logged)", name, text), where);
}

}  // namespace mote::log

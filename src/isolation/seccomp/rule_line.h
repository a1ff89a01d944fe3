// One line of a table of rules.
#pragma once

#include <string_view>
#include <vector>

#include "isolation/seccomp/rules.h"

namespace mote::seccomp {

// Without white space around it.
std::string_view trim(std::string_view text);
// What white space separates.
std::vector<std::string_view> words(std::string_view text);
// Letters, digits, _ and -, at least one.
bool is_word(std::string_view text);

// The rules that a line stands for: several where an argument may be one of some values, none where
// it is for another architecture. Errors say what is wrong with it.
Result<std::vector<Rule>> parse_line(std::string_view line, Architecture architecture);

}  // namespace mote::seccomp

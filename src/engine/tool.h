// Programs of the host that mote calls for work of theirs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::engine {

// The path of a program in PATH, /usr/sbin or /sbin; empty when it is in none.
std::string find_tool(const std::string& name);
using ToolFinder = std::function<std::string(const std::string& name)>;

// Runs `command` (a path and its arguments) to its end, without input, with `keep` open under its
// number. An error when it does not end with status 0; what it printed is in it.
Result<void> run_tool(const std::vector<std::string>& command, const UniqueFd& keep);

}  // namespace mote::engine

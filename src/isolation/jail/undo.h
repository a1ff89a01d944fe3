// Undo remembers how to take back what was made so far, so that a jail that cannot be finished
// leaves nothing half made.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace mote::isolation::jail {

class Undo {
 public:
  Undo() = default;
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  // Takes everything back, the last first, unless it is to stay.
  ~Undo();

  void add(std::move_only_function<void()> step) { steps_.push_back(std::move(step)); }
  // Removes a file, or an empty directory, that was made in `directory`.
  Result<void> add_removal(const UniqueFd& directory, std::string name, bool is_directory);
  // What was made stays.
  void keep() { steps_.clear(); }

 private:
  std::vector<std::move_only_function<void()>> steps_;
};

}  // namespace mote::isolation::jail

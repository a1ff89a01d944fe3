#include "isolation/jail/undo.h"

#include <fcntl.h>
#include <unistd.h>

#include <ranges>

namespace mote::isolation::jail {

Undo::~Undo() {
  for (auto& step : steps_ | std::views::reverse) step();
}

Result<void> Undo::add_removal(const UniqueFd& directory, std::string name, bool is_directory) {
  MOTE_TRY(auto held, directory.duplicate());
  add([held = std::move(held), name = std::move(name), is_directory] {
    ::unlinkat(held.get(), name.c_str(), is_directory ? AT_REMOVEDIR : 0);
  });
  return {};
}

}  // namespace mote::isolation::jail

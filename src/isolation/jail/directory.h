// Directories by descriptor. A path is walked once; from there on every step names one component,
// which may be no link (openat2(2) with RESOLVE_NO_SYMLINKS and RESOLVE_BENEATH), so what was
// looked at is what is used, whoever swaps a component meanwhile.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "isolation/jail/undo.h"

namespace mote::isolation::jail {

// openat2(2): what `path` leads to from the directory `at`, by the rules `resolve` (RESOLVE_*);
// O_CLOEXEC is added to `flags`. Empty: it could not be opened, and errno says why.
UniqueFd open_by_rules(int at, const std::string& path, int flags, std::uint64_t resolve,
                       mode_t mode = 0);

// The directory at `path`, links followed. Errors: not there, no directory, not permitted.
Result<UniqueFd> open_base(const std::string& path);

// `name` in `directory`, which must be one component and is opened only when it is no link;
// O_CLOEXEC is added to `flags`. `mode` counts with O_CREAT.
Result<UniqueFd> open_below(const UniqueFd& directory, const std::string& name, int flags,
                            mode_t mode = 0);

// The directory `name` in `directory`: made with `mode` (and removed by `undo`) where it is not
// there.
Result<UniqueFd> make_directory(const UniqueFd& directory, const std::string& name, mode_t mode,
                                Undo& undo);

// The path of an open file, as the kernel knows it now.
Result<std::string> path_of(const UniqueFd& fd);

// What lies at the descriptor.
Result<struct stat> status_of(const UniqueFd& fd, const std::string& name);

}  // namespace mote::isolation::jail

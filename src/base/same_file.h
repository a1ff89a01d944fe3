// Whether two paths lead to one file: by another way of writing it, by a link of either kind.
#pragma once

#include <string>

namespace mote {

// False also where one of them leads to none, or where that cannot be told.
bool is_same_file(const std::string& one, const std::string& other);

}  // namespace mote

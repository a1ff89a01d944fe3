#include "base/same_file.h"

#include "base/file.h"

namespace mote {

bool is_same_file(const std::string& one, const std::string& other) {
  struct stat first{};
  struct stat second{};
  return look_at(one, first) && look_at(other, second) && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

}  // namespace mote

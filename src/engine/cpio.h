// CpioWriter puts together an archive in the "newc" form, which Linux takes as its initial file
// system (Documentation/driver-api/early-userspace/buffer-format.rst).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mote::engine {

class CpioWriter {
 public:
  // Entries, owned by root, in the order of the calls: a directory comes before what is in it.
  // `path` has no leading slash. A file holds less than 4 GiB.
  void directory(std::string_view path, mode_t permissions);
  void file(std::string_view path, mode_t permissions, std::span<const std::byte> content);
  void character_device(std::string_view path, mode_t permissions, unsigned major, unsigned minor);

  // The archive, with its trailer.
  std::string take() &&;

 private:
  struct Entry {
    std::string_view path;
    mode_t mode = 0;
    std::uint32_t size = 0;
    unsigned major = 0;
    unsigned minor = 0;
  };
  void header(const Entry& entry);
  void pad();

  std::string archive_;
  std::uint32_t next_inode_ = 1;
};

}  // namespace mote::engine

// What tests of snapshots share.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "served_test.h"

namespace mote::bare {

class SnapshotTest : public ServedTest {
 protected:
  int create(const Monitor& monitor, const std::string& name, const char* type = "Full") const {
    return monitor.put("/snapshot/create",
                       fmt::format(R"({{"snapshot_path":"{}","mem_file_path":"{}",)"
                                   R"("snapshot_type":"{}"}})",
                                   path_of(name), path_of(name + ".mem"), type));
  }
  std::string load_body(const std::string& name, const std::string& more = {}) const {
    return fmt::format(R"({{"snapshot_path":"{}","mem_backend":{{"backend_type":"File",)"
                       R"("backend_path":"{}"}}{}}})",
                       path_of(name), path_of(name + ".mem"), more);
  }
  int load(const Monitor& monitor, const std::string& name, const std::string& more = {}) const {
    return monitor.put("/snapshot/load", load_body(name, more));
  }
  // What a file takes of the disk.
  std::int64_t sparse_size(const std::string& name) const {
    struct stat facts{};
    EXPECT_EQ(::stat(path_of(name).c_str(), &facts), 0);
    return facts.st_blocks * 512;
  }
  std::string content(const std::string& name) const {
    std::string text(std::filesystem::file_size(path_of(name)), '\0');
    std::ifstream(path_of(name), std::ios::binary)
        .read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }
};

}  // namespace mote::bare

// What is logged while an object of this lives.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"

namespace mote::test {

class LogLines {
 public:
  LogLines() {
    UniqueFd file(::memfd_create("log", MFD_CLOEXEC));
    reader_ = UniqueFd(::fcntl(file.get(), F_DUPFD_CLOEXEC, 3));
    log::set_sink(std::move(file));
  }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;
  ~LogLines() { log::set_sink(UniqueFd()); }

  std::string text() const {
    std::string all(static_cast<std::size_t>(::lseek(reader_.get(), 0, SEEK_END)), '\0');
    const ssize_t length = ::pread(reader_.get(), all.data(), all.size(), 0);
    all.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    return all;
  }
  // How often `part` stands there.
  int count(std::string_view part) const {
    const std::string all = text();
    int found = 0;
    for (auto at = all.find(part); at != std::string::npos; at = all.find(part, at + 1)) ++found;
    return found;
  }

 private:
  UniqueFd reader_;
};

}  // namespace mote::test

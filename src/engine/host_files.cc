#include "engine/host_files.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <charconv>

#include "base/unique_fd.h"

namespace mote::engine {
namespace {

constexpr std::size_t kMostBytes = 65536;

}  // namespace

std::optional<std::string> first_line(const std::string& path) {
  const auto file = open_file(path, O_RDONLY);
  if (!file) return std::nullopt;
  const auto text = read_all(file->get(), kMostBytes);
  if (!text) return std::nullopt;
  return text->substr(0, text->find('\n'));
}

std::optional<std::int64_t> number_in(const std::string& path) {
  const auto line = first_line(path);
  std::int64_t number = 0;
  if (!line ||
      std::from_chars(line->data(), line->data() + line->size(), number).ec != std::errc{}) {
    return std::nullopt;
  }
  return number;
}

std::uint64_t limit_of(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

}  // namespace mote::engine

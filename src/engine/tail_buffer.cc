#include "engine/tail_buffer.h"

#include <algorithm>
#include <utility>

namespace mote::engine {

void TailBuffer::append(std::span<const std::byte> bytes) {
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // Cut seldom, so that a flood costs a copy of each byte and not of the whole.
  if (text_.size() > 2 * limit_) {
    text_.erase(0, text_.size() - limit_);
    cut_ = true;
  }
}

std::vector<std::string> TailBuffer::lines() const {
  std::vector<std::string> all;
  const std::size_t begin = text_.size() > limit_ ? text_.size() - limit_ : 0;
  std::string line;
  for (const char letter : std::string_view(text_).substr(begin)) {
    if (letter == '\n') {
      all.push_back(std::exchange(line, {}));
    } else if (letter == '\t' || static_cast<unsigned char>(letter) >= ' ') {
      if (letter != '\x7f') line += letter;
    }
  }
  if (!line.empty()) all.push_back(std::move(line));
  // The first line may have lost its begin.
  if ((cut_ || begin > 0) && !all.empty()) all.erase(all.begin());
  return all;
}

std::vector<std::string> TailBuffer::last_lines(std::size_t count) const {
  std::vector<std::string> all = lines();
  if (all.size() > count) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(count));
  return all;
}

std::vector<std::string> TailBuffer::lines_with(std::string_view prefix) const {
  std::vector<std::string> found = lines();
  std::erase_if(found, [prefix](const std::string& line) { return !line.starts_with(prefix); });
  return found;
}

}  // namespace mote::engine

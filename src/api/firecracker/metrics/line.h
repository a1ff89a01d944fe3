// A line of the metrics' file: JSON without a line feed in it, its counters as what came since the
// line before. Making one neither waits nor, but for what is new since the line before, allocates,
// so that the handler of a fatal signal can make the last.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/firecracker/metrics/collect.h"

namespace mote::api::firecracker {

// Text of a bounded length.
class LineBuffer {
 public:
  explicit LineBuffer(std::size_t capacity)
      : text_(std::make_unique_for_overwrite<char[]>(capacity)), capacity_(capacity) {}

  std::size_t capacity() const { return capacity_; }
  void clear() {
    size_ = 0;
    overflow_ = false;
  }
  void add(std::string_view text);
  void add(std::uint64_t number);
  // As a JSON string without its quotation marks.
  void add_escaped(std::string_view text);
  // Whether something did not fit.
  bool overflow() const { return overflow_; }
  std::string_view text() const { return {text_.get(), size_}; }

 private:
  std::unique_ptr<char[]> text_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  bool overflow_ = false;
};

// What the lines before have told of each counter.
class Baselines {
 public:
  // Makes room for what `group` counts, where it has none yet.
  void prepare(const GroupNumbers& group);
  // What `group` counted since the last keep(), by its fields' kinds; good until the next call. The
  // numbers are told if keep() follows. Of what nobody has prepared: all.
  std::span<const std::uint64_t> since(const GroupNumbers& group);
  // The line was written: what was in it is told, and what was not in it is gone.
  void keep();

 private:
  struct Entry {
    const void* source = nullptr;
    std::vector<std::uint64_t> told = {};
    std::vector<std::uint64_t> now = {};
    bool seen = false;
  };
  Entry* find(const void* source);

  std::vector<Entry> entries_;
  std::array<std::uint64_t, 64> difference_{};
};

// Puts a line of `sources` into `line`: the time, `extras` (members of the line's object, each
// followed by a comma), and the groups. `fatal`: without an allocation.
void make_line(const MetricsSources& sources, std::uint64_t utc_ms,
               std::initializer_list<std::string_view> extras, Baselines& baselines, bool fatal,
               LineBuffer& line);

}  // namespace mote::api::firecracker

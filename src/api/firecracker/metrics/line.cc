#include "api/firecracker/metrics/line.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace mote::api::firecracker {
namespace {

class LineSink final : public GroupSink {
 public:
  LineSink(LineBuffer& line, Baselines& baselines, bool fatal)
      : line_(line), baselines_(baselines), fatal_(fatal) {}

  std::span<const std::uint64_t> take(const GroupNumbers& group) override {
    std::span<const std::uint64_t> numbers = group.numbers;
    if (group.source != nullptr) {
      if (!fatal_) baselines_.prepare(group);
      numbers = baselines_.since(group);
    }
    print(group, numbers);
    return numbers;
  }

 private:
  void print(const GroupNumbers& group, std::span<const std::uint64_t> numbers) {
    line_.add(first_ ? "\"" : ",\"");
    first_ = false;
    line_.add(group.name);
    if (!group.id.empty()) {
      line_.add("_");
      line_.add_escaped(group.id);
    }
    line_.add("\":{");
    std::string_view outer;
    for (std::size_t i = 0; i < group.fields.size(); ++i) {
      const Field& field = group.fields[i];
      if (!outer.empty() && field.outer != outer) line_.add("}");
      if (i > 0) line_.add(",");
      if (!field.outer.empty() && field.outer != outer) {
        key(field.outer);
        line_.add("{");
      }
      outer = field.outer;
      key(field.name);
      line_.add(numbers[i]);
    }
    line_.add(outer.empty() ? "}" : "}}");
  }
  void key(std::string_view name) {
    line_.add("\"");
    line_.add(name);
    line_.add("\":");
  }

  LineBuffer& line_;
  Baselines& baselines_;
  const bool fatal_;
  bool first_ = true;
};

}  // namespace

void LineBuffer::add(std::string_view text) {
  if (text.empty()) return;
  if (overflow_ || text.size() > capacity_ - size_) {
    overflow_ = true;
    return;
  }
  std::memcpy(text_.get() + size_, text.data(), text.size());
  size_ += text.size();
}

void LineBuffer::add(std::uint64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  add({digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void LineBuffer::add_escaped(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  for (const char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && c != '"' && c != '\\') {
      add({&c, 1});
    } else {
      const std::array escape{'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
      add({escape.data(), escape.size()});
    }
  }
}

Baselines::Entry* Baselines::find(const void* source) {
  const auto found = std::ranges::find(entries_, source, &Entry::source);
  return found == entries_.end() ? nullptr : &*found;
}

void Baselines::prepare(const GroupNumbers& group) {
  Entry* entry = find(group.source);
  if (entry == nullptr) entry = &entries_.emplace_back(Entry{.source = group.source});
  // Another device may be where one of another kind was.
  if (entry->told.size() == group.fields.size()) return;
  entry->told.assign(group.fields.size(), 0);
  entry->now.assign(group.fields.size(), 0);
}

std::span<const std::uint64_t> Baselines::since(const GroupNumbers& group) {
  Entry* entry = find(group.source);
  if (entry != nullptr && entry->told.size() != group.fields.size()) entry = nullptr;
  for (std::size_t i = 0; i < group.fields.size(); ++i) {
    const bool counter = group.fields[i].kind == FieldKind::kCounter;
    // A counter below what was told is another one: of a device that came in the place of one.
    const bool goes_on = entry != nullptr && counter && entry->told[i] <= group.numbers[i];
    difference_[i] = group.numbers[i] - (goes_on ? entry->told[i] : 0);
    if (entry != nullptr) entry->now[i] = group.numbers[i];
  }
  if (entry != nullptr) entry->seen = true;
  return std::span(difference_).first(group.fields.size());
}

void Baselines::keep() {
  // What was not in this line is gone.
  std::erase_if(entries_, [](const Entry& entry) { return !entry.seen; });
  for (Entry& entry : entries_) {
    entry.told.swap(entry.now);
    entry.seen = false;
  }
}

void make_line(const MetricsSources& sources, std::uint64_t utc_ms,
               std::initializer_list<std::string_view> extras, Baselines& baselines, bool fatal,
               LineBuffer& line) {
  line.clear();
  line.add("{\"utc_timestamp_ms\":");
  line.add(utc_ms);
  line.add(",");
  for (const std::string_view extra : extras) line.add(extra);
  LineSink sink(line, baselines, fatal);
  collect(sources, sink);
  line.add("}\n");
}

}  // namespace mote::api::firecracker

// Parsing: Boost.JSON's incremental parser with a handler of ours, because its own tree accepts a
// name twice and is twice as large.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <charconv>
#include <cmath>
#include <exception>
#include <numeric>
#include <optional>

#include "base/json.h"
#include "base/utf8.h"

namespace mote::json {
namespace {

using ErrorCode = boost::json::error_code;
using Text = boost::json::string_view;

std::string_view view(Text text) { return {text.data(), text.size()}; }

// Builds a Value from the parser's events. The parser has checked that they nest.
class Builder {
 public:
  static constexpr std::size_t max_object_size = -1;
  static constexpr std::size_t max_array_size = -1;
  static constexpr std::size_t max_key_size = -1;
  static constexpr std::size_t max_string_size = -1;

  explicit Builder(const Limits& limits) : last_counts_(limits.last_of_a_name_counts) {}

  bool on_document_begin(ErrorCode&) { return true; }
  bool on_document_end(ErrorCode&) { return true; }
  bool on_object_begin(ErrorCode&) { return begin(Value::Object()); }
  bool on_object_end(std::size_t, ErrorCode& error);
  bool on_array_begin(ErrorCode&) { return begin(Value::Array()); }
  bool on_array_end(std::size_t, ErrorCode&) { return end(); }
  bool on_key_part(Text part, std::size_t, ErrorCode&) { return append(part); }
  bool on_key(Text part, std::size_t, ErrorCode&);
  bool on_string_part(Text part, std::size_t, ErrorCode&) { return append(part); }
  bool on_string(Text part, std::size_t, ErrorCode&);
  bool on_number_part(Text, ErrorCode&) { return true; }
  bool on_int64(std::int64_t number, Text text, ErrorCode&);
  bool on_uint64(std::uint64_t number, Text, ErrorCode&) { return add({number}); }
  bool on_double(double number, Text text, ErrorCode& error);
  bool on_bool(bool value, ErrorCode&) { return add({value}); }
  bool on_null(ErrorCode&) { return add({nullptr}); }
  bool on_comment_part(Text, ErrorCode&) { return true; }
  bool on_comment(Text, ErrorCode&) { return true; }

  Value take() { return std::move(root_); }
  // Where the parser was stopped because a name came twice; nullopt when it was not.
  std::optional<std::string> twice(const Path& document) const;

 private:
  bool append(Text part) {
    text_ += view(part);
    return true;
  }
  bool begin(Value::Data container) {
    open_.push_back({std::move(container)});
    return true;
  }
  bool end() {
    Value done = std::move(open_.back());
    open_.pop_back();
    return add(std::move(done));
  }
  bool add(Value value);
  std::string twice_below(std::size_t level, const Path& parent) const;

  Value root_{nullptr};
  std::vector<Value> open_;  // arrays and objects that have begun, outermost first
  std::string text_;         // of the key or string that has begun
  std::optional<std::string> duplicate_;
  bool last_counts_;
};

bool Builder::add(Value value) {
  if (open_.empty()) {
    root_ = std::move(value);
  } else if (auto* array = std::get_if<Value::Array>(&open_.back().data)) {
    array->push_back(std::move(value));
  } else {
    std::get<Value::Object>(open_.back().data).back().value = std::move(value);
  }
  return true;
}

bool Builder::on_key(Text part, std::size_t, ErrorCode&) {
  append(part);
  std::get<Value::Object>(open_.back().data).push_back({std::move(text_), {nullptr}});
  text_.clear();
  return true;
}

bool Builder::on_string(Text part, std::size_t, ErrorCode&) {
  append(part);
  const bool added = add({std::move(text_)});
  text_.clear();
  return added;
}

// -0 is not a whole number to those who count from 0, as for Firecracker.
bool Builder::on_int64(std::int64_t number, Text text, ErrorCode&) {
  return number == 0 && text.starts_with('-') ? add({-0.0}) : add({number});
}

// The parser's own conversion is a bit off for numbers of many digits, and makes infinity of those
// that are too large.
bool Builder::on_double(double number, Text text, ErrorCode& error) {
  double exact = 0;
  const auto end = text.data() + text.size();
  if (std::from_chars(text.data(), end, exact).ec != std::errc::result_out_of_range) {
    return add({exact});
  }
  if (std::abs(number) < 1) return add({0.0});
  error = boost::json::error::exponent_overflow;
  return false;
}

// Sorts members by name; of those with one name only the last stays.
void keep_last(Value::Object& members) {
  std::vector<std::size_t> order(members.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&members](std::size_t i) {
    return std::pair(std::string_view(members[i].name), i);
  });
  Value::Object kept;
  kept.reserve(members.size());
  for (const std::size_t i : order) {
    if (!kept.empty() && kept.back().name == members[i].name) kept.pop_back();
    kept.push_back(std::move(members[i]));
  }
  members = std::move(kept);
}

// Names are compared at an object's end, sorted: a hostile object of many names costs no square.
bool Builder::on_object_end(std::size_t, ErrorCode& error) {
  auto& members = std::get<Value::Object>(open_.back().data);
  if (last_counts_) {
    keep_last(members);
    return end();
  }
  std::vector<std::string_view> names;
  names.reserve(members.size());
  for (const Member& member : members) names.push_back(member.name);
  std::ranges::sort(names);
  if (const auto found = std::ranges::adjacent_find(names); found != names.end()) {
    duplicate_ = std::string(*found);
    error = boost::json::error::syntax;
    return false;
  }
  return end();
}

std::optional<std::string> Builder::twice(const Path& document) const {
  if (!duplicate_) return std::nullopt;
  return twice_below(0, document);
}

// What is still open when the parser stops is the way to the name.
std::string Builder::twice_below(std::size_t level, const Path& parent) const {
  if (level + 1 == open_.size()) return Path(parent, *duplicate_).text();
  if (const auto* array = open_[level].as<Value::Array>()) {
    return twice_below(level + 1, Path(parent, array->size()));
  }
  const auto& object = std::get<Value::Object>(open_[level].data);
  return twice_below(level + 1, Path(parent, object.back().name));
}

// "the document, line 3, column 7"
std::string position(const Path& document, std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::size_t newline = before.rfind('\n');
  const std::size_t column = newline == std::string_view::npos ? offset : offset - newline - 1;
  return fmt::format("{}, line {}, column {}", document.text(), line, column + 1);
}

// What the parser did not like at `offset`.
std::unexpected<Error> syntax_error(const ErrorCode& error, const Path& document,
                                    std::string_view text, std::size_t offset,
                                    const Limits& limits) {
  const std::string where = position(document, text, offset);
  if (error == boost::json::error::too_deep) {
    return fail(ErrorKind::kInvalid, "{}: lists and objects nest deeper than {} levels", where,
                limits.depth);
  }
  if (error == boost::json::error::incomplete || offset >= text.size()) {
    return fail(ErrorKind::kInvalid, "{}: the text ends before its JSON is complete", where);
  }
  if (error && error != boost::json::error::syntax) {
    return fail(ErrorKind::kInvalid, "{}: not valid JSON ({})", where, error.message());
  }
  const std::size_t length = utf8_sequence(text.substr(offset)).value_or(1);
  return fail(ErrorKind::kInvalid, "{}: {} {}", where, quote(text.substr(offset, length)),
              error ? "is not valid JSON here" : "follows after the end of the JSON");
}

Result<void> check_text(std::string_view text, const Path& document, const Limits& limits) {
  if (text.size() > limits.bytes) {
    return fail(ErrorKind::kInvalid, "{} is longer than {} bytes", document.text(), limits.bytes);
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return fail(ErrorKind::kInvalid, "{} is empty; it must be JSON", document.text());
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    return fail(ErrorKind::kInvalid,
                "{} begins with a byte order mark (EF BB BF); JSON begins without one",
                document.text());
  }
  if (const std::optional<std::size_t> at = find_invalid_utf8(text)) {
    return fail(ErrorKind::kInvalid, "{}: the byte 0x{:02x} is not UTF-8 there; JSON is UTF-8",
                position(document, text, *at), static_cast<unsigned char>(text[*at]));
  }
  return {};
}

}  // namespace

Result<Value> parse(std::string_view text, const Path& document, const Limits& limits) {
  MOTE_CHECK(check_text(text, document, limits));
  try {
    boost::json::parse_options options;
    options.max_depth = limits.depth;
    boost::json::basic_parser<Builder> parser(options, limits);
    ErrorCode error;
    const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
    if (const auto twice = parser.handler().twice(document)) {
      return fail(ErrorKind::kInvalid, "{} is given twice; give it once", *twice);
    }
    if (error || used < text.size()) return syntax_error(error, document, text, used, limits);
    return parser.handler().take();
  } catch (const std::exception& error) {
    return fail(ErrorKind::kInternal, "{} could not be parsed: {}", document.text(), error.what());
  }
}

}  // namespace mote::json

// JSON as values: strict parsing within limits, paths that name a place in a document, and writing.
// Structs are read and written by base/json_describe.h on top of this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace mote::json {

struct Member;

// Any JSON value. A number is an int64 where it fits, else a uint64, else (also with a fraction, an
// exponent, or -0) a double. Members keep the order of the text and differ in name.
struct Value {
  using Array = std::vector<Value>;
  using Object = std::vector<Member>;
  using Data = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string,
                            Array, Object>;
  Data data;

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  bool is_null() const { return as<std::nullptr_t>() != nullptr; }
};

struct Member {
  std::string name;
  Value value;
};

struct Limits {
  std::size_t bytes = std::size_t{1} << 20;
  std::size_t depth = 32;  // of arrays and objects in each other
  // A name twice in one object is no error, and the last of them counts. All objects' members are
  // sorted by name then.
  bool last_of_a_name_counts = false;
};

// A place in a document, for messages. Refers to its parent and to `name`, which outlive it.
class Path {
 public:
  // The document itself, called `document` in messages.
  explicit Path(std::string_view document = "the document") : name_(document) {}
  Path(const Path& parent, std::string_view field) : parent_(&parent), name_(field) {}
  Path(const Path& parent, std::size_t index) : parent_(&parent), index_(index) {}

  // "drives[1].is_read_only", or what the document is called.
  std::string text() const;

 private:
  static constexpr std::size_t kNoIndex = static_cast<std::size_t>(-1);
  const Path* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = kNoIndex;
};

// Parses one JSON text (RFC 8259, UTF-8). Refuses, with a sentence that says where: what is no
// JSON or UTF-8, a name twice in one object (but see Limits), anything after the value, and what
// passes a limit.
Result<Value> parse(std::string_view text, const Path& document = Path(),
                    const Limits& limits = {});

// `text` in quotation marks for a message: control characters escaped, cut when long.
std::string quote(std::string_view text);
// What a value is, for a message: `the string "x"`, `the number 1.5`, `null`, `a list`.
std::string shown(const Value& value);

// "<path> is <what was found>; it must be <wanted>"
std::unexpected<Error> mismatch(const Path& path, const Value& found, std::string_view wanted);

// Puts JSON text together; commas come by themselves. Text that is not UTF-8 is written with
// U+FFFD in its place.
class Writer {
 public:
  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name);
  void null() { literal("null"); }
  void boolean(bool value) { literal(value ? "true" : "false"); }
  void integer(std::int64_t value);
  void integer(std::uint64_t value);
  void number(double value);
  void string(std::string_view text);
  void value(const Value& value);

  std::string take() && { return std::move(text_); }

 private:
  void open(char bracket);
  void close(char bracket);
  void literal(std::string_view text);
  void separate();
  void escaped(std::string_view text);

  std::string text_;
  bool comma_ = false;
};

}  // namespace mote::json

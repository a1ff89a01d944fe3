// Writing JSON, and showing values and paths in messages.
#include <cmath>

#include "base/json.h"
#include "base/utf8.h"

namespace mote::json {
namespace {

// The most of a text that a message repeats.
constexpr std::size_t kMostShown = 64;

bool is_plain(std::string_view name) {
  if (name.empty() || name.size() > kMostShown) return false;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
    if (!plain) return false;
  }
  return true;
}

// With a point or an exponent, which is what tells it from a whole number.
std::string number_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

std::string Path::text() const {
  if (parent_ == nullptr) return std::string(name_);
  std::string text = parent_->parent_ == nullptr ? std::string() : parent_->text();
  if (index_ != kNoIndex) {
    return fmt::format("{}[{}]", text.empty() ? parent_->text() + " " : text, index_);
  }
  if (!text.empty()) text += '.';
  return text + (is_plain(name_) ? std::string(name_) : quote(name_));
}

std::string quote(std::string_view text) {
  const bool cut = text.size() > kMostShown;
  std::size_t end = text.size();
  if (cut) {
    end = 0;
    while (end < kMostShown) end += utf8_sequence(text.substr(end)).value_or(1);
  }
  Writer writer;
  writer.string(text.substr(0, end));
  return std::move(writer).take() + (cut ? "..." : "");
}

std::string shown(const Value& value) {
  struct Shown {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return fmt::format("the number {}", value); }
    std::string operator()(std::uint64_t value) const {
      return fmt::format("the number {}", value);
    }
    std::string operator()(double value) const {
      return fmt::format("the number {}", number_text(value));
    }
    std::string operator()(const std::string& value) const {
      return fmt::format("the string {}", quote(value));
    }
    std::string operator()(const Value::Array&) const { return "a list"; }
    std::string operator()(const Value::Object&) const { return "an object"; }
  };
  return std::visit(Shown{}, value.data);
}

std::unexpected<Error> mismatch(const Path& path, const Value& found, std::string_view wanted) {
  return fail(ErrorKind::kInvalid, "{} is {}; it must be {}", path.text(), shown(found), wanted);
}

void Writer::separate() {
  if (comma_) text_ += ',';
  comma_ = true;
}

void Writer::open(char bracket) {
  separate();
  text_ += bracket;
  comma_ = false;
}

void Writer::close(char bracket) {
  text_ += bracket;
  comma_ = true;
}

void Writer::literal(std::string_view text) {
  separate();
  text_ += text;
}

void Writer::key(std::string_view name) {
  string(name);
  text_ += ':';
  comma_ = false;
}

void Writer::integer(std::int64_t value) { literal(fmt::format("{}", value)); }
void Writer::integer(std::uint64_t value) { literal(fmt::format("{}", value)); }

void Writer::number(double value) {
  // JSON has no infinity and no NaN.
  std::isfinite(value) ? literal(number_text(value)) : null();
}

void Writer::string(std::string_view text) {
  separate();
  text_ += '"';
  escaped(text);
  text_ += '"';
}

void Writer::escaped(std::string_view text) {
  while (!text.empty()) {
    const std::optional<std::size_t> length = utf8_sequence(text);
    const char c = text.front();
    if (!length) {
      text_ += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (c == '\n') {
      text_ += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      text_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      text_ += text.substr(0, *length);
    }
    text.remove_prefix(length.value_or(1));
  }
}

void Writer::value(const Value& value) {
  struct Write {
    Writer& writer;
    void operator()(std::nullptr_t) const { writer.null(); }
    void operator()(bool value) const { writer.boolean(value); }
    void operator()(std::int64_t value) const { writer.integer(value); }
    void operator()(std::uint64_t value) const { writer.integer(value); }
    void operator()(double value) const { writer.number(value); }
    void operator()(const std::string& value) const { writer.string(value); }
    void operator()(const Value::Array& items) const {
      writer.begin_array();
      for (const Value& item : items) writer.value(item);
      writer.end_array();
    }
    void operator()(const Value::Object& members) const {
      writer.begin_object();
      for (const Member& member : members) {
        writer.key(member.name);
        writer.value(member.value);
      }
      writer.end_object();
    }
  };
  std::visit(Write{*this}, value.data);
}

}  // namespace mote::json

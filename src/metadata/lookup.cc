#include "metadata/lookup.h"

#include <charconv>

#include "metadata/store.h"

namespace mote::metadata {
namespace {

using Array = json::Value::Array;
using Object = json::Value::Object;

// A name of a JSON pointer (RFC 6901, section 4): ~1 is a '/', ~0 a '~'.
std::string unescape(std::string_view token) {
  std::string name;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size();
    if (escape && (token[i + 1] == '0' || token[i + 1] == '1')) {
      name += token[++i] == '0' ? '~' : '/';
    } else {
      name += token[i];
    }
  }
  return name;
}

// The item of `array` that `token` counts to; null: it is no number, or there is no such item.
const json::Value* item_at(const Array& array, std::string_view token) {
  if (token.size() > 1 && token.front() == '0') return nullptr;
  std::size_t index = 0;
  const char* end = token.data() + token.size();
  const auto [stop, error] = std::from_chars(token.data(), end, index);
  if (error != std::errc() || stop != end || index >= array.size()) return nullptr;
  return &array[index];
}

const json::Value* step(const json::Value& from, std::string_view token) {
  if (const auto* object = from.as<Object>()) return find_member(*object, unescape(token));
  if (const auto* array = from.as<Array>()) return item_at(*array, token);
  return nullptr;
}

const json::Value* find(const json::Value& data, std::string_view path) {
  const json::Value* at = &data;
  while (at != nullptr) {
    const std::size_t begin = path.find_first_not_of('/');
    if (begin == std::string_view::npos) break;
    path.remove_prefix(begin);
    const std::string_view token = path.substr(0, path.find('/'));
    at = step(*at, token);
    path.remove_prefix(token.size());
  }
  return at;
}

std::string list_of(const Object& object) {
  std::string list;
  for (const json::Member& member : object) {
    if (&member != &object.front()) list += '\n';
    list += member.name;
    if (member.value.as<Object>() != nullptr) list += '/';
  }
  return list;
}

}  // namespace

Result<std::string> look_up(const json::Value& data, std::string_view path, Form form) {
  const json::Value* found = find(data, path);
  if (found == nullptr) return fail(ErrorKind::kNotFound, "there is nothing at {}", path);
  if (form == Form::kJson) return json_text(*found);
  if (const auto* object = found->as<Object>()) return list_of(*object);
  if (const auto* text = found->as<std::string>()) return *text;
  return fail(ErrorKind::kUnsupported,
              "what is at {} has no text form; strings and objects have one", path);
}

}  // namespace mote::metadata

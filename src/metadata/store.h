// Store holds the data that the metadata service gives out: one JSON value of any shape, which the
// API puts, patches and gets. It belongs to the machine thread, and lives apart from any machine:
// data may come before there is one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace mote::metadata {

// As much as a request of the API may bring, unless that is set otherwise.
inline constexpr std::size_t kDefaultSizeLimit = 51200;

class Store {
 public:
  // `size_limit`: the most bytes that the data may have as JSON text without white space.
  explicit Store(std::size_t size_limit = kDefaultSizeLimit) : size_limit_(size_limit) {}

  // Replaces the data by what `text` says: any JSON. Of a name that is given twice in one object
  // the last counts. Errors, after which the data is what it was: kInvalid: no JSON, or nested
  // deeper than 127; kTooLarge.
  Result<void> put(std::string_view text);
  // Merges `text` into the data (JSON merge patch, RFC 7396). Errors as put(); and kState: nothing
  // was ever put.
  Result<void> patch(std::string_view text);
  // put() of a file. Errors name it; kIo, kNotFound and others when it cannot be read.
  Result<void> put_file(const std::string& path);

  // What the API gets: the data as JSON text, names sorted; `{}` while there is none.
  std::string text() const;
  // The data; null while there is none. Objects' names are sorted, so that find_member() finds
  // them.
  const json::Value& data() const { return data_; }
  std::size_t size_limit() const { return size_limit_; }

 private:
  Result<void> take(json::Value data);

  std::size_t size_limit_;
  json::Value data_{nullptr};
  bool given_ = false;
};

// The member `name` of an object of a Store; null: there is none.
const json::Value* find_member(const json::Value::Object& object, std::string_view name);
// The JSON text of `value`.
std::string json_text(const json::Value& value);

}  // namespace mote::metadata

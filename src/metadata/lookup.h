// What a path of the metadata looks like to the guest.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace mote::metadata {

enum class Form {
  kJson,  // the JSON text of what is there
  kText,  // as IMDS has it: an object lists its names, those of objects with a '/' behind; a string
          // is itself
};

// What stands at `path` in `data`, which is a Store's. The path is a JSON pointer (RFC 6901) in
// which a '/' at the end, and several in a row, make no difference. Errors: kNotFound;
// kUnsupported: it has no such form, as a number has none in text.
Result<std::string> look_up(const json::Value& data, std::string_view path, Form form);

}  // namespace mote::metadata

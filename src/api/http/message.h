// What the HTTP server hands to an API and gets back: a request and an answer without their wire
// form.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace mote::api::http {

// A request that was whole and sound as HTTP. Everything in it is the client's word.
struct Request {
  std::string method;  // as sent: GET, PUT, PATCH, ...
  std::string target;  // the request line's: a path, perhaps with a query; never empty
  // Decoded (chunks put together), at most the server's limit; empty if none.
  std::string body = {};
  // What came beside its bytes (SCM_RIGHTS), at most kMaxPassed.
  std::vector<UniqueFd> descriptors = {};
};

struct Response {
  int status = 204;
  std::string body = {};    // JSON; empty: an answer without a body
  bool deprecated = false;  // the request used something deprecated: `Deprecation: true`
  std::vector<UniqueFd> descriptors = {};  // go beside its first byte; at most kMaxPassed
};

// Answers one request. Called on the server's thread, one request at a time.
using Handler = std::move_only_function<Response(Request&&)>;

}  // namespace mote::api::http

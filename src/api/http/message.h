// What the HTTP server hands to an API and gets back: a request and an answer without their wire
// form.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace mote::api::http {

class LateAnswer;

struct Response {
  int status = 204;
  std::string body = {};    // JSON; empty: an answer without a body
  bool deprecated = false;  // the request used something deprecated: `Deprecation: true`
  std::vector<UniqueFd> descriptors = {};  // go beside its first byte; at most kMaxPassed
  std::unique_ptr<LateAnswer> late = {};   // what will be there in place of all this; null: this is
};

// A request that was whole and sound as HTTP. Everything in it is the client's word.
struct Request {
  std::string method;  // as sent: GET, PUT, PATCH, ...
  std::string target;  // the request line's: a path, perhaps with a query; never empty
  // Decoded (chunks put together), at most the server's limit; empty if none.
  std::string body = {};
  // What came beside its bytes (SCM_RIGHTS), at most kMaxPassed.
  std::vector<UniqueFd> descriptors = {};
  // Gives an answer without descriptors before the handler returns, and sends it unless there are
  // some that go before it: on any thread, once. What the handler returns is nothing then.
  std::move_only_function<void(Response&&)> answer_now = {};
};

// An answer that is not there yet. Its end says that nobody waits for it any more.
class LateAnswer {
 public:
  virtual ~LateAnswer() = default;
  // Has `tell` called, once, when the answer is there: on whichever thread gives it, or here and
  // now. Not after this object's end.
  virtual void when_there(std::move_only_function<void()> tell) = 0;
  // The answer that is there. On the server's thread.
  virtual Response take() = 0;
};

// Answers one request. Called on the server's thread, one request at a time; what takes long is to
// be answered late, so that other clients need not wait for it.
using Handler = std::move_only_function<Response(Request&&)>;

}  // namespace mote::api::http

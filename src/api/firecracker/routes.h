// From a request's text to what it asks for. Nothing here touches the machine, so it is done on the
// API's thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/firecracker/controller.h"
#include "api/firecracker/process_metrics.h"
#include "api/http/message.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote::api::firecracker {

// What is answered: JSON, empty where there is nothing to say, and what goes beside it.
struct Reply {
  std::string text;
  std::vector<UniqueFd> descriptors = {};
};

// Does what was asked for, on the machine thread.
using Call = std::move_only_function<Result<Reply>(Controller&)>;

struct Understood {
  Call call;
  bool deprecated = false;  // by a field or value that Firecracker is going to drop
  bool anywhere = false;    // any thread may make the call
  bool alone = false;       // waits until a snapshot that is being made is there
  Gauge RequestLatencies::* latency = nullptr;  // where to note how long it took, if it was done
};

// Takes the request's descriptors, where it is one that has some. Errors (kInvalid): no such path
// or method, an id that is none, a body that is not what it must be, descriptors that nothing
// takes.
Result<Understood> understand(http::Request& request);

// The answer to a request: 200 with a body or 204 without, and for an error 400 (or 413, too much
// to keep) with what was wrong as `fault_message`.
http::Response respond(Result<Reply> outcome, bool deprecated);

}  // namespace mote::api::firecracker

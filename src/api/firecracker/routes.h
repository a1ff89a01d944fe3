// From a request's text to what it asks for. Nothing here touches the machine, so it is done on the
// API's thread.
#pragma once

#include <functional>
#include <string>

#include "api/firecracker/controller.h"
#include "api/firecracker/process_metrics.h"
#include "api/http/message.h"
#include "base/result.h"

namespace mote::api::firecracker {

// Does what was asked for, on the machine thread. Its result is the JSON of the answer, empty where
// there is nothing to say.
using Call = std::move_only_function<Result<std::string>(Controller&)>;

struct Understood {
  Call call;
  bool deprecated = false;  // by a field or value that Firecracker is going to drop
  bool anywhere = false;    // any thread may make the call
  Gauge RequestLatencies::* latency = nullptr;  // where to note how long it took, if it was done
};

// Errors (kInvalid): no such path or method, an id that is none, a body that is not what it must
// be.
Result<Understood> understand(const http::Request& request);

// The answer to a request: 200 with a body or 204 without, and for an error 400 (or 413, too much
// to keep) with what was wrong as `fault_message`.
http::Response respond(const Result<std::string>& outcome, bool deprecated);

}  // namespace mote::api::firecracker

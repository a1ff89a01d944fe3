// Which counters a request of the API is in.
#pragma once

#include "api/firecracker/process_metrics.h"
#include "api/http/message.h"

namespace mote::api::firecracker {

// Counts `request`, which was answered by `response`, in any thread. Firecracker has no counters
// for some requests, and for those of mote's own there are none either.
void count_request(const http::Request& request, const http::Response& response,
                   ProcessMetrics& counts);

}  // namespace mote::api::firecracker

// What the log has of a request and of its answer, in words that Firecracker's clients look for.
#pragma once

#include "api/http/message.h"

namespace mote::api::firecracker {

// A request that came, with its body, but for that of the metadata service: its data may be
// secrets.
void log_request(const http::Request& request);

// How it was answered: an error's body says what is wrong.
void log_answer(const http::Response& response);

}  // namespace mote::api::firecracker

// Api answers the requests that the HTTP server hands to it, on the server's thread, by asking the
// Controller, on the machine thread where the answer is not for any thread to read.
#pragma once

#include "api/firecracker/controller.h"
#include "api/firecracker/routes.h"
#include "api/http/message.h"
#include "base/event_loop.h"

namespace mote::api::firecracker {

class Api {
 public:
  // Both outlive the Api; `loop` is the machine thread's, to which `controller` belongs.
  Api(EventLoop& loop, Controller& controller) : loop_(loop), controller_(controller) {}

  // Waits for the machine thread, but for requests that are wrong in themselves, and look-ups.
  http::Response handle(http::Request&& request);

 private:
  http::Response answer(http::Request& request);
  Result<Reply> carry_out(Understood understood);

  EventLoop& loop_;
  Controller& controller_;
};

}  // namespace mote::api::firecracker

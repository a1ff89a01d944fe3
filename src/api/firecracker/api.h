// Api answers the requests that the HTTP server hands to it, on the server's thread, by asking the
// Controller on the machine thread.
#pragma once

#include "api/firecracker/controller.h"
#include "api/http/message.h"
#include "base/event_loop.h"

namespace mote::api::firecracker {

class Api {
 public:
  // Both outlive the Api; `loop` is the machine thread's, to which `controller` belongs.
  Api(EventLoop& loop, Controller& controller) : loop_(loop), controller_(controller) {}

  // Waits for the machine thread. What is wrong with the request itself is answered without it.
  http::Response handle(const http::Request& request);

 private:
  http::Response answer(const http::Request& request);

  EventLoop& loop_;
  Controller& controller_;
};

}  // namespace mote::api::firecracker

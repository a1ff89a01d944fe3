// Api answers the requests that the HTTP server hands to it, on the server's thread, by asking the
// Controller, on the machine thread where the answer is not for any thread to read.
#pragma once

#include <memory>

#include "api/firecracker/controller.h"
#include "api/firecracker/routes.h"
#include "api/http/message.h"
#include "base/event_loop.h"

namespace mote::api::firecracker {

class Desk;

class Api {
 public:
  // Both outlive the Api; `loop` is the machine thread's, to which `controller` belongs.
  Api(EventLoop& loop, Controller& controller) : loop_(loop), controller_(controller) {}

  // Waits for the machine thread, but for requests that are wrong in themselves, and look-ups. What
  // takes long is answered late.
  http::Response handle(http::Request&& request);

 private:
  // Has the machine thread do it, and put what comes of it on the desk.
  void hand_over(Understood understood, std::shared_ptr<Desk> desk);
  // Logs and counts a request that is answered.
  void note(const http::Request& request, const http::Response& response);

  EventLoop& loop_;
  Controller& controller_;
};

}  // namespace mote::api::firecracker

// ServerThread runs a Server on a thread and an event loop of its own.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "api/http/server.h"
#include "base/event_loop.h"
#include "base/result.h"

namespace mote::api::http {

class ServerThread {
 public:
  // Starts a thread, named `fc_api` as Firecracker's, that serves `listener`. The handler is called
  // on it.
  static Result<std::unique_ptr<ServerThread>> start(UniqueFd listener, Limits limits,
                                                     Handler handler);
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;
  // Waits for the request that is being answered, whose handler must not wait for this thread, and
  // ends the thread.
  ~ServerThread();

  // Waits until it serves, and has logged that it does.
  void await_start() const { started_.wait(false); }

 private:
  ServerThread() = default;
  void main();

  std::atomic_flag started_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace mote::api::http

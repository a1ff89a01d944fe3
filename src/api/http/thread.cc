#include "api/http/thread.h"

#include <system_error>

#include "base/log.h"
#include "base/thread_guard.h"
#include "base/worker.h"

namespace mote::api::http {

Result<std::unique_ptr<ServerThread>> ServerThread::start(UniqueFd listener, Limits limits,
                                                          Handler handler) {
  std::unique_ptr<ServerThread> made(new ServerThread());
  MOTE_TRY(made->loop_, EventLoop::create());
  MOTE_TRY(made->server_,
           Server::create(*made->loop_, std::move(listener), limits, std::move(handler)));
  try {
    limit_stacks();
    made->thread_ = std::thread([self = made.get()] { self->main(); });
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "start the API's thread");
  }
  return made;
}

ServerThread::~ServerThread() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

void ServerThread::main() {
  log::name_thread("fc_api");
  log::info("The API is served.");
  started_.test_and_set();
  started_.notify_all();
  // Before the first byte of a client.
  enter_thread(ThreadKind::kApi);
  if (const auto ran = loop_->run(); !ran) log::error("The API ends: {}", ran.error().text());
}

}  // namespace mote::api::http

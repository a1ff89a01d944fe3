#include "api/firecracker/api.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "api/firecracker/request_counts.h"
#include "api/firecracker/request_log.h"
#include "base/sync.h"

namespace mote::api::firecracker {
namespace {

// Where an answer is waited for.
struct Desk {
  Mutex mutex;
  Condition changed;
  std::optional<Result<Reply>> outcome GUARDED_BY(mutex);

  void put(Result<Reply> result) EXCLUDES(mutex) {
    {
      const MutexLock lock(mutex);
      if (!outcome) outcome = std::move(result);
    }
    // Whoever is woken finds the mutex free.
    changed.notify_all();
  }
  Result<Reply> take() EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    while (!outcome) changed.wait(mutex);
    return std::move(*outcome);
  }
};

// What the machine thread is given. One that it drops unread, as its loop has ended, is answered as
// well.
class Ticket {
 public:
  Ticket(Call call, std::shared_ptr<Desk> desk) : call_(std::move(call)), desk_(std::move(desk)) {}
  Ticket(Ticket&&) = default;
  Ticket& operator=(Ticket&&) = delete;
  ~Ticket() {
    if (desk_) desk_->put(fail(ErrorKind::kState, "the microVM has ended"));
  }

  void serve(Controller& controller) {
    const auto desk = std::exchange(desk_, nullptr);
    desk->put(call_(controller));
  }

 private:
  Call call_;
  std::shared_ptr<Desk> desk_;
};

}  // namespace

http::Response Api::handle(http::Request&& request) {
  http::Response response = answer(request);
  count_request(request, response, controller_.metrics().counts);
  return response;
}

Result<Reply> Api::carry_out(Understood understood) {
  if (understood.anywhere) return understood.call(controller_);
  const auto desk = std::make_shared<Desk>();
  loop_.post([this, ticket = Ticket(std::move(understood.call), desk)]() mutable {
    machine::kMachineThread.assert_held();
    ticket.serve(controller_);
  });
  return desk->take();
}

http::Response Api::answer(http::Request& request) {
  const auto began = std::chrono::steady_clock::now();
  log_request(request);
  http::Response response;
  if (auto understood = understand(request); !understood) {
    response = respond(std::unexpected(std::move(understood.error())), false);
  } else {
    const bool deprecated = understood->deprecated;
    const auto latency = understood->latency;
    Result<Reply> outcome = carry_out(std::move(*understood));
    if (outcome && latency != nullptr) {
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now() - began);
      controller_.metrics().counts.latencies_us.*latency = static_cast<std::uint64_t>(took.count());
    }
    response = respond(std::move(outcome), deprecated);
  }
  log_answer(response);
  return response;
}

}  // namespace mote::api::firecracker

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

// How long the API's thread itself waits for an answer of the machine thread's: as long as hardly
// any takes. Other clients are kept waiting meanwhile.
constexpr std::chrono::milliseconds kPatience{10};

}  // namespace

// Where an answer is waited for.
class Desk {
 public:
  using Answer = std::move_only_function<void(Result<Reply>)>;
  enum class Wait { kThere, kAnswered, kInVain };

  // `answer`, where there is one, may be called until the end of wait().
  explicit Desk(Answer answer) : answer_(std::move(answer)) {}

  // `now`: whoever waits, or is about to, is answered here, before this returns.
  void put(Result<Reply> result, bool now = false) EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (auto answer = std::exchange(answer_, nullptr); answer && now) {
        answer(std::move(result));
        answered_ = true;
      } else if (!outcome_) {
        outcome_ = std::move(result);
      }
      // Under the lock, so that nobody is told after forget().
      if (auto tell = std::exchange(tell_, nullptr)) tell();
    }
    // Whoever is woken finds the mutex free.
    changed_.notify_all();
  }
  // Whether it is there in time, or has been answered by whoever put it.
  Wait wait(std::chrono::milliseconds patience) EXCLUDES(mutex_) {
    const auto until = std::chrono::steady_clock::now() + patience;
    const MutexLock lock(mutex_);
    while (!outcome_ && !answered_) {
      if (!changed_.wait_until(mutex_, until)) break;
    }
    answer_ = nullptr;
    if (answered_) return Wait::kAnswered;
    return outcome_ ? Wait::kThere : Wait::kInVain;
  }
  void when_there(std::move_only_function<void()> tell) EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (outcome_) return tell();
    tell_ = std::move(tell);
  }
  void forget() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    tell_ = nullptr;
  }
  // Once it is there.
  Result<Reply> take() EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return std::move(*outcome_);
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::optional<Result<Reply>> outcome_ GUARDED_BY(mutex_);
  std::move_only_function<void()> tell_ GUARDED_BY(mutex_);
  Answer answer_ GUARDED_BY(mutex_);
  bool answered_ GUARDED_BY(mutex_) = false;
};

namespace {

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
    auto outcome = call_(controller);
    desk->put(std::move(outcome), controller.goes_on());
    controller.go_on();
  }

 private:
  Call call_;
  std::shared_ptr<Desk> desk_;
};

// On the machine thread, or, for one that has to be `alone`, when no snapshot is being made;
// another that waited before it may make the next one.
void serve(Controller& controller, bool alone, Ticket ticket) REQUIRES(machine::kMachineThread) {
  if (!alone || !controller.saves()) return ticket.serve(controller);
  controller.after_saving([&controller, ticket = std::move(ticket)]() mutable {
    machine::kMachineThread.assert_held();
    serve(controller, true, std::move(ticket));
  });
}

// The answer to a request that the machine thread is still busy with.
class LateReply final : public http::LateAnswer {
 public:
  using Finish = std::move_only_function<http::Response(Result<Reply>)>;

  LateReply(std::shared_ptr<Desk> desk, Finish finish)
      : desk_(std::move(desk)), finish_(std::move(finish)) {}
  ~LateReply() override { desk_->forget(); }

  void when_there(std::move_only_function<void()> tell) override {
    desk_->when_there(std::move(tell));
  }
  http::Response take() override { return finish_(desk_->take()); }

 private:
  std::shared_ptr<Desk> desk_;
  Finish finish_;
};

}  // namespace

http::Response Api::handle(http::Request&& request) {
  const auto began = std::chrono::steady_clock::now();
  log_request(request);
  auto understood = understand(request);
  const bool deprecated = understood && understood->deprecated;
  const auto latency = understood ? understood->latency : nullptr;
  auto answer_now = std::exchange(request.answer_now, nullptr);
  // What is noted of a request when its outcome is known.
  auto finish = [this, began, deprecated, latency,
                 request = std::move(request)](Result<Reply> outcome) {
    if (outcome && latency != nullptr) {
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
          std::chrono::steady_clock::now() - began);
      controller_.metrics().counts.latencies_us.*latency = static_cast<std::uint64_t>(took.count());
    }
    http::Response response = respond(std::move(outcome), deprecated);
    note(request, response);
    return response;
  };
  if (!understood) return finish(std::unexpected(std::move(understood.error())));
  if (understood->anywhere) return finish(understood->call(controller_));
  Desk::Answer answer;
  if (answer_now) {
    answer = [&](Result<Reply> outcome) { answer_now(finish(std::move(outcome))); };
  }
  const auto desk = std::make_shared<Desk>(std::move(answer));
  hand_over(std::move(*understood), desk);
  switch (desk->wait(kPatience)) {
    case Desk::Wait::kThere:
      return finish(desk->take());
    case Desk::Wait::kAnswered:
      return {};
    case Desk::Wait::kInVain:
      break;
  }
  return {.late = std::make_unique<LateReply>(desk, std::move(finish))};
}

void Api::hand_over(Understood understood, std::shared_ptr<Desk> desk) {
  loop_.post([this, alone = understood.alone,
              ticket = Ticket(std::move(understood.call), std::move(desk))]() mutable {
    machine::kMachineThread.assert_held();
    serve(controller_, alone, std::move(ticket));
  });
}

void Api::note(const http::Request& request, const http::Response& response) {
  log_answer(response);
  count_request(request, response, controller_.metrics().counts);
}

}  // namespace mote::api::firecracker

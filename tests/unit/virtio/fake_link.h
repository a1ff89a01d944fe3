// A link in memory: frames that wait to come in, frames that went out, and failures on demand.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "network/link.h"

namespace mote::virtio::test {

class FakeLink final : public network::Link {
 public:
  explicit FakeLink(unsigned lanes = 1) : waiting(lanes), sent(lanes) {}

  std::string name() const override { return "the fake link"; }
  unsigned lanes() const override { return static_cast<unsigned>(waiting.size()); }
  network::Offloads offered() const override { return can; }
  Result<void> watch(EventLoop& /*loop*/, Ready ready) override {
    on_ready = std::move(ready);
    return {};
  }
  Result<void> set_offloads(const network::Offloads& wanted) override {
    offloads = wanted;
    if (refuse_settings) return fail(ErrorKind::kIo, "the fake link refuses");
    return {};
  }
  Result<void> use_lanes(unsigned count) override {
    if (refuse_settings) return fail(ErrorKind::kIo, "the fake link refuses");
    used = count;
    return {};
  }
  Result<std::optional<std::size_t>> receive(unsigned lane, std::span<const iovec> into) override {
    ++receives;
    most_parts = std::max(most_parts, into.size());
    if (gone) return fail(ErrorKind::kState, "the fake link is gone");
    if (fail_next) return fail_once();
    if (waiting[lane].empty()) return std::nullopt;
    const std::string frame = std::move(waiting[lane].front());
    waiting[lane].pop_front();
    std::size_t at = 0;
    for (const iovec& part : into) {
      const std::size_t here = std::min(part.iov_len, frame.size() - at);
      std::memcpy(part.iov_base, frame.data() + at, here);
      at += here;
    }
    return frame.size();
  }
  Result<bool> send(unsigned lane, std::span<const iovec> frame) override {
    most_parts = std::max(most_parts, frame.size());
    if (gone) return fail(ErrorKind::kState, "the fake link is gone");
    if (refuse_next) {
      refuse_next = false;
      return fail(ErrorKind::kInvalid, "the fake link does not like this frame");
    }
    if (fail_next) return fail_once();
    if (room == 0) return false;
    --room;
    std::string& all = sent[lane].emplace_back();
    for (const iovec& part : frame) all.append(static_cast<char*>(part.iov_base), part.iov_len);
    return true;
  }

  // Lets a frame wait, and says so.
  void arrive(std::string frame, unsigned lane = 0) {
    waiting[lane].push_back(std::move(frame));
    on_ready(lane, {.receive = true, .send = true});
  }

  std::vector<std::deque<std::string>> waiting;     // a lane
  std::vector<std::vector<std::string>> sent;       // a lane
  std::size_t room = static_cast<std::size_t>(-1);  // frames that it takes before it blocks
  bool gone = false;
  bool fail_next = false;
  bool refuse_next = false;  // the frame
  bool refuse_settings = false;
  unsigned used = 0;  // lanes
  int receives = 0;
  std::size_t most_parts = 0;
  network::Offloads can{.checksum = true, .tso4 = true, .tso6 = true, .ecn = true, .uso = true};
  network::Offloads offloads;
  Ready on_ready;

 private:
  std::unexpected<Error> fail_once() {
    fail_next = false;
    return fail(ErrorKind::kIo, "the fake link fails");
  }
};

}  // namespace mote::virtio::test

// The loop that nearly every device's kick() is.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "virtio/queue/queue.h"

namespace mote::virtio {

// Hands every waiting chain of `queue` to `handle(Chain)` and flushes once a batch, with
// notifications off meanwhile and on at the end. After one queue's size of chains it asks to be
// kicked again instead, so that a driver which never pauses leaves the thread to others. Returns
// early when the ring lies, and when `handle` is false, which says that it has put its chain back,
// or that it was enough for once: then notifications stay off, and the device sees to it by itself
// that the queue is served again.
//
// `settle()` is called before each flush: what a device does once a batch, and may complete chains.
// `await(answers)` is asked when the ring is empty, with the chains that were handled since the
// last flush: true says that another one has come, which is to go with them.
template <typename Handle, typename Settle, typename Await>
void serve(Queue& queue, Handle&& handle, Settle&& settle, Await&& await) {
  const auto flush = [&] {
    settle();
    queue.flush();
  };
  queue.disable_notifications();
  std::uint32_t budget = queue.size();
  do {
    std::uint32_t answers = 0;
    while (true) {
      if (budget == 0) {
        flush();
        queue.again();
        return;
      }
      auto chain = queue.next();
      if (!chain) {
        flush();
        return;
      }
      if (!*chain) {
        settle();
        if (await(answers)) continue;
        break;
      }
      --budget;
      ++answers;
      if constexpr (std::is_same_v<std::invoke_result_t<Handle&, Chain>, bool>) {
        if (!handle(std::move(**chain))) {
          flush();
          return;
        }
      } else {
        handle(std::move(**chain));
      }
    }
    queue.flush();
  } while (queue.enable_notifications());
}

template <typename Handle>
void serve(Queue& queue, Handle&& handle) {
  serve(queue, std::forward<Handle>(handle), [] {}, [](std::uint32_t) { return false; });
}

}  // namespace mote::virtio

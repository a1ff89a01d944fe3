#include <linux/virtio_balloon.h>

#include <algorithm>
#include <array>

#include "virtio/balloon/device.h"
#include "virtio/queue/serve.h"

namespace mote::virtio {
namespace {

constexpr std::uint64_t kPageSize = std::uint64_t{1} << VIRTIO_BALLOON_PFN_SHIFT;
// Page numbers of one chain that are looked at; a driver of today sends 256, or 1024.
constexpr std::uint64_t kMostPages = 16384;
// Pages, or ranges, after which others have their turn.
constexpr std::uint64_t kPagesPerTurn = 16384;
constexpr std::uint64_t kRangesPerTurn = 1024;

// What serve() is answered: whether it goes on now; else it is told to come again.
bool may_go_on(Queue& queue, bool now) {
  if (!now) queue.again();
  return now;
}

}  // namespace

std::optional<std::uint64_t> Balloon::discard(const memory::GuestSlice& slice) {
  auto bytes = memory_.discard(slice);
  if (bytes) return *bytes;
  failures_.tell(log::Level::kWarning, "balloon", bytes.error());
  return std::nullopt;
}

// Inflating and deflating (VIRTIO 1.2, 5.5.6): a chain is an array of page numbers.
// ------------------------------------------------------------------------------------------------

void Balloon::inflate(Queue& queue) {
  ++metrics_.inflate_count;
  std::uint64_t pages = 0;
  serve(queue, [&](Chain chain) {
    pages += inflate_chain(std::move(chain));
    return may_go_on(queue, pages < kPagesPerTurn);
  });
}

std::uint64_t Balloon::inflate_chain(Chain chain) {
  std::array<std::uint32_t, 1024> numbers;
  ChainReader& in = chain.in();
  const std::uint64_t count = in.left() / sizeof(std::uint32_t);
  if (count == 0 || count > kMostPages || in.left() % sizeof(std::uint32_t) != 0) {
    ++metrics_.event_fails;
  }
  const std::uint64_t taken = std::min(count, kMostPages);
  for (std::uint64_t done = 0; done < taken;) {
    const std::span<std::uint32_t> part(numbers.data(),
                                        std::min<std::uint64_t>(numbers.size(), taken - done));
    static_cast<void>(in.read(std::as_writable_bytes(part)));
    give_up_pages(part);
    done += part.size();
  }
  std::move(chain).complete();
  return taken;
}

void Balloon::give_up_pages(std::span<std::uint32_t> pages) {
  // A guest takes pages as it finds them, often one behind the other: a run costs one call.
  std::ranges::sort(pages);
  for (std::size_t i = 0; i < pages.size();) {
    const std::uint64_t first = pages[i];
    std::uint64_t end = first + 1;
    for (++i; i < pages.size() && pages[i] <= end; ++i) {
      if (pages[i] == end) ++end;
    }
    give_up_run(first, end - first);
  }
}

void Balloon::give_up_run(std::uint64_t first, std::uint64_t count) {
  const auto slice = memory_.find(first * kPageSize, count * kPageSize);
  if (!slice && count > 1) {
    // Some of it is no memory.
    for (std::uint64_t page = first; page < first + count; ++page) give_up_run(page, 1);
    return;
  }
  if (!slice) {
    ++metrics_.inflate_bad_pages;
    return;
  }
  if (const auto bytes = discard(*slice)) {
    metrics_.inflate_freed += *bytes;
  } else {
    ++metrics_.inflate_fails;
  }
}

void Balloon::deflate(Queue& queue) {
  ++metrics_.deflate_count;
  // The pages are the guest's again, and come back when it touches them.
  serve(queue, [](Chain chain) { std::move(chain).complete(); });
}

// Reporting (5.5.6.7): the buffers of a chain are the pages themselves, which the guest leaves
// alone until it has the chain back.
// ------------------------------------------------------------------------------------------------

void Balloon::report(Queue& queue) {
  std::uint64_t ranges = 0;
  serve(queue, [&](Chain chain) {
    chain.out().each([&](const memory::GuestSlice& slice) {
      ++ranges;
      ++metrics_.free_page_report_count;
      if (const auto bytes = discard(slice)) {
        metrics_.free_page_report_freed += *bytes;
      } else {
        ++metrics_.free_page_report_fails;
      }
    });
    std::move(chain).complete();
    return may_go_on(queue, ranges < kRangesPerTurn);
  });
}

// Hinting (5.5.6.5): the guest begins a run by telling its number, sends pages as above, which it
// keeps until the host is done, and ends with the number 0.
// ------------------------------------------------------------------------------------------------

Result<void> Balloon::start_hinting(bool acknowledge_on_stop) {
  if (!config_.free_page_hinting) {
    return fail(ErrorKind::kInvalid, "the balloon has no free_page_hinting");
  }
  if (!active_) return fail(ErrorKind::kState, "the guest has no driver for the balloon yet");
  // Numbers up to DONE are commands.
  last_run_ = std::max<std::uint32_t>(last_run_ + 1, VIRTIO_BALLOON_CMD_ID_DONE + 1);
  host_cmd_ = last_run_;
  acknowledge_on_stop_ = acknowledge_on_stop;
  config_changed();
  return {};
}

Result<void> Balloon::stop_hinting() {
  if (!config_.free_page_hinting) {
    return fail(ErrorKind::kInvalid, "the balloon has no free_page_hinting");
  }
  if (!active_) return fail(ErrorKind::kState, "the guest has no driver for the balloon yet");
  host_cmd_ = VIRTIO_BALLOON_CMD_ID_DONE;
  config_changed();
  return {};
}

Result<BalloonHintingStatus> Balloon::hinting() const {
  if (!config_.free_page_hinting) {
    return fail(ErrorKind::kInvalid, "the balloon has no free_page_hinting");
  }
  return BalloonHintingStatus{.host_cmd = host_cmd_, .guest_cmd = guest_cmd_};
}

void Balloon::hint(Queue& queue) {
  const std::uint64_t before = metrics_.free_page_hint_count;
  serve(queue, [&](Chain chain) {
    if (chain.in().left() == sizeof(std::uint32_t)) {
      take_command(*chain.in().read<std::uint32_t>());
    } else if (chain.in().left() > 0) {
      ++metrics_.event_fails;
    }
    take_hints(chain);
    std::move(chain).complete();
    return may_go_on(queue, metrics_.free_page_hint_count - before < kRangesPerTurn);
  });
}

void Balloon::take_command(std::uint32_t command) {
  const bool ended = command == VIRTIO_BALLOON_CMD_ID_STOP && guest_cmd_ == host_cmd_ &&
                     host_cmd_ > VIRTIO_BALLOON_CMD_ID_DONE;
  guest_cmd_ = command;
  if (!ended || !acknowledge_on_stop_) return;
  host_cmd_ = VIRTIO_BALLOON_CMD_ID_DONE;
  config_changed();
}

void Balloon::take_hints(Chain& chain) {
  // Pages of a run that was stopped, or of none, may be in use again.
  const bool wanted = host_cmd_ > VIRTIO_BALLOON_CMD_ID_DONE && guest_cmd_ == host_cmd_;
  chain.out().each([&](const memory::GuestSlice& slice) {
    ++metrics_.free_page_hint_count;
    const auto bytes = wanted ? discard(slice) : std::nullopt;
    if (bytes) {
      metrics_.free_page_hint_freed += *bytes;
    } else {
      ++metrics_.free_page_hint_fails;
    }
  });
}

}  // namespace mote::virtio

// PageHandler is another process that brings pages of guest memory as they are touched: it listens
// at a Unix socket, is sent a userfaultfd and where memory lies, and answers faults from then on.
// The protocol is Firecracker's, so that its handlers serve mote.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "base/worker.h"

namespace mote::snapshot {

// A region of guest memory, of nothing yet, and where its contents lie in the memory file.
struct HandledRegion {
  std::uintptr_t host = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  std::uint64_t page_size = 0;
};

class PageHandler {
 public:
  // Told once, on a thread of its own, that the handler is gone: what is missing of memory can
  // never be had, and whoever touches it waits for ever. The process must end.
  using Lost = std::function<void(const std::string& what)>;

  static Result<std::unique_ptr<PageHandler>> connect(const std::string& path);
  PageHandler(const PageHandler&) = delete;
  PageHandler& operator=(const PageHandler&) = delete;
  ~PageHandler();

  // Hands the regions over, whole pages that nobody has touched, and waits until the pages at
  // `first`, which are host addresses in the first region, are there. Errors: this host has no
  // userfaultfd for us (kUnsupported); the handler has gone, or stays silent; the process is asked
  // to end meanwhile (kState).
  Result<void> hand_over(std::span<const HandledRegion> regions,
                         std::span<const std::uintptr_t> first, Lost lost);

 private:
  PageHandler(std::string path, UniqueFd socket)
      : path_(std::move(path)), socket_(std::move(socket)) {}

  Result<void> make_userfaultfd(bool huge_pages);
  Result<void> register_region(const HandledRegion& region) const;
  Result<void> send(const std::string& message) const;
  // Touches the pages at `first`, and waits for them.
  Result<void> try_out(std::span<const std::uintptr_t> first, std::uint64_t page_size) const;
  // Lets whoever waits for the page at `address` go on, with zeros.
  void give_up(std::uintptr_t address, std::uint64_t page_size) const;
  void watch(const Lost& lost) const;
  bool has_unread_faults() const;
  // What says that the handler is lost; empty: it is not, and the watch is to end.
  std::string wait_for_loss() const;

  const std::string path_;
  UniqueFd socket_;
  UniqueFd userfaultfd_;
  UniqueFd facts_;  // what the kernel says of it; none: there is no /proc for us
  UniqueFd stop_;
  std::unique_ptr<Worker> watcher_;
};

}  // namespace mote::snapshot

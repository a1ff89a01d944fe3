// MetadataLink puts the metadata service beside what a network device is plugged into: what the
// guest sends to the service's address never gets as far as the link behind, and the answers come
// in beside what comes from there.
#pragma once

#include <memory>
#include <vector>

#include "metadata/network_end.h"
#include "network/link.h"

namespace mote::metadata {

class MetadataLink final : public network::Link {
 public:
  // The service outlives the link.
  MetadataLink(Service& service, std::unique_ptr<network::Link> behind);

  std::string name() const override { return behind_->name(); }
  unsigned lanes() const override { return behind_->lanes(); }
  network::Offloads offered() const override { return behind_->offered(); }
  Result<void> watch(EventLoop& loop, Ready ready) override;
  Result<void> set_offloads(const network::Offloads& offloads) override {
    return behind_->set_offloads(offloads);
  }
  Result<void> use_lanes(unsigned count) override { return behind_->use_lanes(count); }
  Result<std::optional<std::size_t>> receive(unsigned lane, std::span<const iovec> into) override;
  Result<bool> send(unsigned lane, std::span<const iovec> frame) override;

 private:
  Result<bool> pass_on(unsigned lane, std::span<const iovec> frame, std::span<std::byte> start);
  void announce();
  void announce_soon();
  void set_timer();
  void tick();

  std::unique_ptr<network::Link> behind_;
  NetworkEnd end_;
  EventLoop* loop_ = nullptr;
  Ready ready_;
  bool announcing_ = false;  // announce() is posted
  std::optional<EventLoop::Timer> timer_;
  std::optional<Time> timer_set_;  // when it is due
  bool complained_ = false;        // of a timer that fails
  std::vector<iovec> parts_;
  // Dies with the link, so that what was posted knows.
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

}  // namespace mote::metadata

#include "virtio/queue/chain.h"

#include <algorithm>
#include <limits>

#include "virtio/queue/ring.h"

namespace mote::virtio {

ChainCursor::ChainCursor(std::span<const memory::GuestSlice> parts) : parts_(parts) {
  for (const memory::GuestSlice& part : parts) left_ += part.size();
}

Result<void> ChainReader::read(std::span<std::byte> into) {
  if (into.size() > left_) {
    return fail(ErrorKind::kGuest, "{} bytes to read where the chain has {}", into.size(), left_);
  }
  walk(into.size(), [&into](const memory::GuestSlice& run) {
    static_cast<void>(run.read(0, into.first(run.size())));
    into = into.subspan(run.size());
  });
  return {};
}

std::uint64_t ChainReader::lend(std::uint64_t limit, std::vector<iovec>& into) {
  const std::uint64_t length = std::min(limit, left_);
  walk(length, [&into](const memory::GuestSlice& run) { into.push_back(run.lend_for_reading()); });
  return length;
}

Result<void> ChainWriter::write(std::span<const std::byte> from) {
  if (from.size() > left_) {
    return fail(ErrorKind::kGuest, "{} bytes to write where the chain has room for {}", from.size(),
                left_);
  }
  written_ += from.size();
  lent_ = 0;
  walk(from.size(), [&from](const memory::GuestSlice& run) {
    static_cast<void>(run.write(0, from.first(run.size())));
    from = from.subspan(run.size());
  });
  return {};
}

std::uint64_t ChainWriter::room(std::uint64_t limit, std::vector<iovec>& into) {
  lent_ = std::min(limit, left_);
  ChainWriter ahead = *this;
  ahead.walk(lent_,
             [&into](const memory::GuestSlice& run) { into.push_back(run.lend_for_writing()); });
  return lent_;
}

void ChainWriter::filled(std::uint64_t length) {
  const std::uint64_t counted = std::min(length, std::exchange(lent_, 0));
  walk(counted, [](const memory::GuestSlice&) {});
  written_ += counted;
}

bool ChainWriter::rewrite(std::uint64_t offset, std::span<const std::byte> from) {
  if (offset > written_ || from.size() > written_ - offset) return false;
  for (const memory::GuestSlice& part : all_) {
    if (from.empty()) break;
    if (offset >= part.size()) {
      offset -= part.size();
      continue;
    }
    const std::uint64_t here = std::min<std::uint64_t>(part.size() - offset, from.size());
    static_cast<void>(part.write(offset, from.first(here)));
    from = from.subspan(here);
    offset = 0;
  }
  return true;
}

bool ChainWriter::keep_head(std::uint64_t length) {
  if (head_ != 0 || written_ != 0 || length > left_) return false;
  head_ = length;
  walk(length, [](const memory::GuestSlice&) {});
  return true;
}

void ChainWriter::write_head(std::span<const std::byte> from) {
  if (from.size() != head_) return;
  for (auto part = all_.begin(); !from.empty(); ++part) {
    const std::uint64_t here = std::min<std::uint64_t>(part->size(), from.size());
    static_cast<void>(part->write(0, from.first(here)));
    from = from.subspan(here);
  }
  written_ += std::exchange(head_, 0);
}

bool ChainWriter::keep_tail(std::uint64_t length) {
  if (tail_ != 0 || length > left_) return false;
  tail_ = length;
  left_ -= length;
  return true;
}

void ChainWriter::write_tail(std::span<const std::byte> from) {
  if (from.size() != tail_) return;
  // From the end backwards: the tail may lie in several buffers.
  for (auto part = all_.rbegin(); part != all_.rend() && !from.empty(); ++part) {
    const std::uint64_t here = std::min<std::uint64_t>(part->size(), from.size());
    static_cast<void>(part->write(part->size() - here, from.last(here)));
    from = from.first(from.size() - here);
  }
  written_ += std::exchange(tail_, 0);
}

Chain::Chain(std::shared_ptr<Ring> ring, std::uint16_t head, std::vector<memory::GuestSlice> parts,
             std::size_t readable)
    : ring_(std::move(ring)),
      parts_(std::move(parts)),
      in_(std::span(parts_).first(readable)),
      out_(std::span(parts_).subspan(readable)),
      head_(head) {}

Chain& Chain::operator=(Chain&& other) noexcept {
  if (this != &other) {
    Chain old(std::move(*this));
    ring_ = std::move(other.ring_);
    parts_ = std::move(other.parts_);
    in_ = other.in_;
    out_ = other.out_;
    head_ = other.head_;
  }
  return *this;
}

Chain::~Chain() {
  if (ring_ == nullptr) return;
  ring_->count_forgotten();
  finish(0);
}

void Chain::complete() && {
  if (ring_ == nullptr) return;
  // A chain of 4 GiB has one byte more than the driver can be told.
  finish(static_cast<std::uint32_t>(
      std::min<std::uint64_t>(out_.written(), std::numeric_limits<std::uint32_t>::max())));
}

void Chain::withdraw() {
  ring_->return_parts(std::move(parts_));
  ring_.reset();
}

void Chain::finish(std::uint32_t length) {
  ring_->push_used(head_, length);
  ring_->return_parts(std::move(parts_));
  ring_.reset();
}

}  // namespace mote::virtio

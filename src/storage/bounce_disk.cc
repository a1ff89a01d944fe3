#include "storage/bounce_disk.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

namespace mote::storage {
namespace {

enum class Direction { kToBuffers, kFromBuffers };

// Copies between `piece` and the bytes of `buffers` from `offset` on.
void copy(std::span<const iovec> buffers, std::uint64_t offset, std::span<std::byte> piece,
          Direction direction) {
  for (const iovec& buffer : buffers) {
    if (piece.empty()) return;
    if (offset >= buffer.iov_len) {
      offset -= buffer.iov_len;
      continue;
    }
    std::byte* const here = static_cast<std::byte*>(buffer.iov_base) + offset;
    const std::size_t count = std::min<std::size_t>(piece.size(), buffer.iov_len - offset);
    if (direction == Direction::kToBuffers) {
      std::memcpy(here, piece.data(), count);
    } else {
      std::memcpy(piece.data(), here, count);
    }
    piece = piece.subspan(count);
    offset = 0;
  }
}

}  // namespace

void BounceDisk::AlignedFree::operator()(std::byte* memory) const { std::free(memory); }

bool BounceDisk::fits(const DiskRequest& request) const {
  const std::uint64_t block = traits().block_size;
  return std::ranges::all_of(request.buffers, [&](const iovec& buffer) {
    return reinterpret_cast<std::uintptr_t>(buffer.iov_base) % alignment_ == 0 &&
           buffer.iov_len % block == 0;
  });
}

void BounceDisk::start(DiskRequest request, std::uint64_t length, Done done) {
  if (length == 0 || is_range(request.op) || fits(request)) {
    inner().submit(std::move(request), std::move(done));
    return;
  }
  auto bounced = std::make_unique<Bounced>(std::move(request), length, std::move(done));
  if (Piece piece = take_piece()) {
    next_piece(std::move(bounced), std::move(piece));
  } else if (made_ > 0) {
    waiting_.push_back(std::move(bounced));
  } else {
    bounced->done(std::move(bounced->request),
                  fail(ErrorKind::kResource, "no memory to align a disk request in"));
  }
}

// Empty: all are in use, or the host has no memory.
BounceDisk::Piece BounceDisk::take_piece() {
  if (!free_.empty()) {
    Piece piece = std::move(free_.back());
    free_.pop_back();
    return piece;
  }
  if (made_ == kPieces) return nullptr;
  constexpr std::size_t kPage = 4096;
  Piece piece(static_cast<std::byte*>(std::aligned_alloc(kPage, kPieceBytes)));
  if (piece != nullptr) ++made_;
  return piece;
}

void BounceDisk::next_piece(std::unique_ptr<Bounced> bounced, Piece piece) {
  const DiskRequest& request = bounced->request;
  const std::uint64_t length =
      std::min<std::uint64_t>(kPieceBytes, bounced->length - bounced->moved);
  const std::span bytes(piece.get(), length);
  if (request.op == Op::kWrite)
    copy(request.buffers, bounced->moved, bytes, Direction::kFromBuffers);
  DiskRequest part{.op = request.op,
                   .offset = request.offset + bounced->moved,
                   .buffers = {{piece.get(), length}}};
  inner().submit(std::move(part),
                 [this, length, bounced = std::move(bounced), piece = std::move(piece)](
                     const DiskRequest&, Result<void> result) mutable {
                   piece_done(std::move(bounced), std::move(piece), length, std::move(result));
                 });
}

void BounceDisk::piece_done(std::unique_ptr<Bounced> bounced, Piece piece, std::uint64_t length,
                            Result<void> result) {
  DiskRequest& request = bounced->request;
  if (result && request.op == Op::kRead) {
    copy(request.buffers, bounced->moved, {piece.get(), length}, Direction::kToBuffers);
  }
  bounced->moved += length;
  if (result && bounced->moved < bounced->length) {
    // Outside submit(), so that nobody else starts it.
    next_piece(std::move(bounced), std::move(piece));
    inner().commit();
    return;
  }
  release(std::move(piece));
  bounced->done(std::move(request), std::move(result));
}

void BounceDisk::release(Piece piece) {
  if (waiting_.empty()) {
    free_.push_back(std::move(piece));
    return;
  }
  auto next = std::move(waiting_.front());
  waiting_.pop_front();
  next_piece(std::move(next), std::move(piece));
  inner().commit();
}

void BounceDisk::drain() {
  do {
    inner().drain();
  } while (!waiting_.empty());
}

}  // namespace mote::storage

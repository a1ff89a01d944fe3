// For a disk that asks for aligned buffers, as direct I/O does: a request whose buffers are not
// goes through memory of its own, piece by piece. Drivers align theirs; this is for the others, so
// that it need not be quick, and its memory is bounded.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "storage/disk.h"

namespace mote::storage {

class BounceDisk final : public ForwardingDisk {
 public:
  static constexpr std::size_t kPieceBytes = std::size_t{128} << 10;
  // Pieces under way at once; other requests wait for one. 1 MiB in all, taken when first needed.
  static constexpr std::size_t kPieces = 8;

  // `alignment` of a buffer's address, in bytes: a power of two up to 4096. Lengths are to be whole
  // blocks.
  BounceDisk(std::unique_ptr<Disk> inner, std::uint32_t alignment)
      : ForwardingDisk(std::move(inner)), alignment_(alignment) {}
  ~BounceDisk() override { drain(); }

  void drain() override;

 protected:
  void start(DiskRequest request, std::uint64_t length, Done done) override;
  // Direct I/O has nothing at hand.
  bool try_read(DiskRequest& /*request*/, std::uint64_t /*length*/) override { return false; }

 private:
  struct Bounced {
    DiskRequest request;
    std::uint64_t length = 0;
    Done done;
    std::uint64_t moved = 0;  // bytes that are done
  };
  struct AlignedFree {
    void operator()(std::byte* memory) const;
  };
  using Piece = std::unique_ptr<std::byte, AlignedFree>;

  bool fits(const DiskRequest& request) const;
  Piece take_piece();
  void next_piece(std::unique_ptr<Bounced> bounced, Piece piece);
  void piece_done(std::unique_ptr<Bounced> bounced, Piece piece, std::uint64_t length,
                  Result<void> result);
  void release(Piece piece);

  std::uint32_t alignment_;
  std::size_t made_ = 0;  // pieces there are
  std::vector<Piece> free_;
  std::deque<std::unique_ptr<Bounced>> waiting_;
};

}  // namespace mote::storage

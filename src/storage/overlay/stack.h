// Stack is what a drive of layers reads: an image, sealed layers on top of one another, and the
// layer that is written.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/image_file.h"
#include "storage/overlay/layer.h"

namespace mote::storage::overlay {

// What an image that is the disk's bytes is known by: its size and a sum of some of its bytes,
// those at its beginning, where file systems note each time that they are mounted, among them.
// O(1).
Result<Identity> identity_of_image(ImageFile& image);

// A part of the disk that lies in a row in one of the files.
struct Extent {
  std::optional<std::size_t> file;  // as Stack::file() counts them; absent: zeros
  std::uint64_t offset = 0;         // in the file
  std::uint64_t length = 0;         // bytes
};

class Stack {
 public:
  // On nothing, or on an image.
  Stack() = default;
  static Result<Stack> on(std::unique_ptr<ImageFile> image);

  // What a layer that is pushed next must lie on.
  const Identity& identity() const { return identity_; }
  // Errors: it was made on something else (kInvalid), or what is below it is not sealed.
  Result<void> push(std::unique_ptr<Layer> layer);

  // The topmost layer; there is one.
  Layer& top() { return *layers_.back(); }
  const Layer& top() const { return *layers_.back(); }
  std::size_t layers() const { return layers_.size(); }
  // The image is 0, where there is one or not; the lowest layer is 1.
  ImageFile& file(std::size_t index) { return index == 0 ? *image_ : layers_[index - 1]->file(); }
  std::size_t files() const { return layers_.size() + 1; }
  bool has_image() const { return image_ != nullptr; }

  // Where the disk's byte `offset` is, and how much from there on; at most `length` (more than 0)
  // bytes, inside the topmost layer's disk. `layers`: only so many of the lowest count.
  Result<Extent> find(std::uint64_t offset, std::uint64_t length, std::size_t layers);
  Result<Extent> find(std::uint64_t offset, std::uint64_t length) {
    return find(offset, length, layers_.size());
  }
  // Reads what `layers` of the lowest say. The list is changed on the way.
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset, std::size_t layers);

 private:
  std::unique_ptr<ImageFile> image_;
  std::uint64_t image_size_ = 0;
  Identity identity_;
  std::vector<std::unique_ptr<Layer>> layers_;
};

// An open layer of the host's, with what it lies on.
struct OpenedStack {
  Stack stack;
  std::string identity;  // of the topmost file
  int fd = -1;           // of the topmost file
  std::vector<int> fds;  // of all, as Stack::file() counts them; -1: there is no image
};

// Opens `below`, lowest first: an image that is the disk's bytes, or a sealed layer that lies on
// nothing, then sealed layers, all read-only; none: a layer that lies on nothing. Errors name the
// path.
Result<OpenedStack> open_below(const std::vector<std::string>& below);
// The same with the layer at `path` on top, which nobody else may have open to write meanwhile.
Result<OpenedStack> open_stack(const std::string& path, const std::vector<std::string>& below,
                               Access access, MapWrites writes);

// Makes a layer at `path`, where nothing is, for a disk of `size` bytes on top of `below`; 0: as
// large as that. `cluster_bits` 0: what suits the size. Nothing is left where this fails.
Result<void> create_layer(const std::string& path, const std::vector<std::string>& below,
                          std::uint64_t size = 0, unsigned cluster_bits = 0);

}  // namespace mote::storage::overlay

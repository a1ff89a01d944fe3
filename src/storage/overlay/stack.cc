#include "storage/overlay/stack.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/checksum.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "storage/cursor.h"
#include "storage/overlay/header.h"

namespace mote::storage::overlay {
namespace {

// What is looked at of an image: its first 64 KiB, its last 4 KiB, and 4 KiB here and there.
constexpr std::uint64_t kBeginning = std::uint64_t{64} << 10;
constexpr std::uint64_t kSample = 4096;
constexpr std::uint64_t kSamples = 14;
// A map of at most 4 MiB, where larger clusters can do that.
constexpr std::uint64_t kUsualMapPages = 1024;

unsigned usual_cluster_bits(std::uint64_t size) {
  unsigned bits = kLeastClusterBits;
  while (bits < kMostClusterBits && size > kUsualMapPages * kBitsPerPage << bits) ++bits;
  return bits;
}

std::unexpected<Error> within(Error error, const char* what, const std::string& path) {
  return std::unexpected(std::move(error).within(fmt::format("{} {}", what, json::quote(path))));
}

Result<std::unique_ptr<HostFile>> open_regular(const std::string& path, Access access) {
  MOTE_TRY(auto file, HostFile::open(path, access));
  if (file->is_regular()) return file;
  return fail(ErrorKind::kInvalid, "it is a block device; a layer is a regular file");
}

// Two that write one layer would ruin it, and who reads one that is written reads nonsense.
Result<void> lock(const HostFile& file, Access access) {
  if (lock_file(file.fd(), access == Access::kReadWrite ? FileLock::kAlone : FileLock::kShared)) {
    return {};
  }
  if (errno != EAGAIN) return fail_errno(errno, "lock it");
  return fail(ErrorKind::kState, "it is in use by another microVM");
}

// Told when a layer is made, as it is then that the wrong file is named; later on a layer knows
// what it lies on.
Result<void> check_raw(ImageFile& image) {
  constexpr std::array<char, 4> kQcow2{'Q', 'F', 'I', '\xfb'};
  std::array<char, 4> start{};
  MOTE_CHECK(image.read_bytes(std::as_writable_bytes(std::span(start)), 0));
  if (start != kQcow2) return {};
  return fail(ErrorKind::kUnsupported,
              "it is a qcow2 image, and a layer lies on an image that is the disk's bytes; "
              "`qemu-img convert -O raw` makes one of it");
}

Result<std::unique_ptr<Layer>> open_layer(std::unique_ptr<HostFile> file, const std::string& path,
                                          Access access, MapWrites writes) {
  MOTE_TRY(auto layer, Layer::open(std::move(file), access, writes));
  log::debug("layer {}: clusters of {} bytes, {} pages of map", json::quote(path),
             layer->header().cluster_size(), layer->header().map_pages());
  return layer;
}

Result<void> push(OpenedStack& into, const std::string& path, Access access, MapWrites writes) {
  auto file = open_regular(path, access);
  if (!file) return std::unexpected(std::move(file.error()));
  MOTE_CHECK(lock(**file, access));
  into.fds.push_back(into.fd = (*file)->fd());
  into.identity = (*file)->identity();
  MOTE_TRY(auto layer, open_layer(std::move(*file), path, access, writes));
  return into.stack.push(std::move(layer));
}

}  // namespace

Result<Identity> identity_of_image(ImageFile& image) {
  const std::uint64_t size = image.size() - image.size() % kSectorSize;
  std::vector<std::byte> bytes(std::min(kBeginning, size));
  MOTE_CHECK(image.read_bytes(bytes, 0));
  std::array<std::uint64_t, 2> sums{checksum(bytes), checksum(bytes, 1)};
  const auto add = [&](std::uint64_t at) -> Result<void> {
    bytes.resize(std::min(kSample, size));
    MOTE_CHECK(image.read_bytes(bytes, at));
    for (std::uint64_t& sum : sums) sum = checksum(bytes, sum);
    return {};
  };
  for (std::uint64_t i = 1; i <= kSamples && size > kBeginning; ++i) {
    MOTE_CHECK(add((size / (kSamples + 1) * i) & ~(kSample - 1)));
  }
  if (size >= kSample) MOTE_CHECK(add(size - kSample));
  Identity identity{.kind = Below::kRaw, .size = size};
  std::memcpy(identity.id.data(), sums.data(), identity.id.size());
  return identity;
}

Result<Stack> Stack::on(std::unique_ptr<ImageFile> image) {
  Stack stack;
  MOTE_TRY(stack.identity_, identity_of_image(*image));
  stack.image_size_ = stack.identity_.size;
  stack.image_ = std::move(image);
  return stack;
}

Result<void> Stack::push(std::unique_ptr<Layer> layer) {
  const Header& header = layer->header();
  if (!layers_.empty() && top().header().use != Use::kSealed) {
    return fail(ErrorKind::kInvalid,
                "what it lies on is a layer that is not sealed, and may change");
  }
  if (header.below != identity_) {
    const bool none = identity_.kind == Below::kNothing;
    return fail(ErrorKind::kInvalid, "the layer was made on {}; {}",
                header.below.kind == Below::kNothing ? "nothing"
                : header.below.kind == Below::kRaw ? "another image, or this one was changed since"
                                                   : "another layer",
                none ? "it is given nothing to lie on" : "its contents make no sense on this");
  }
  identity_ = header.identity();
  layers_.push_back(std::move(layer));
  return {};
}

Result<Extent> Stack::find(std::uint64_t offset, std::uint64_t length, std::size_t layers) {
  for (std::size_t i = layers; i > 0; --i) {
    Layer& layer = *layers_[i - 1];
    const Header& header = layer.header();
    // What a larger disk has beyond the end of one that it lies on is nobody's.
    if (offset >= header.size) return Extent{.file = {}, .offset = 0, .length = length};
    MOTE_TRY(const Layer::Run run, layer.find(offset, std::min(length, header.size - offset)));
    length = run.length;
    if (run.held) {
      return Extent{.file = i, .offset = header.data_offset() + offset, .length = length};
    }
  }
  if (image_ == nullptr || offset >= image_size_) {
    return Extent{.file = {}, .offset = 0, .length = length};
  }
  return Extent{.file = 0, .offset = offset, .length = std::min(length, image_size_ - offset)};
}

Result<void> Stack::read(std::span<iovec> buffers, std::uint64_t offset, std::size_t layers) {
  Cursor cursor(buffers);
  while (cursor.left() > 0) {
    MOTE_TRY(const Extent extent, find(offset, cursor.left(), layers));
    const std::span<iovec> part = cursor.take(extent.length);
    if (extent.file) {
      MOTE_CHECK(file(*extent.file).read(part, extent.offset));
    } else {
      fill_zeros(part);
    }
    offset += extent.length;
  }
  return {};
}

Result<OpenedStack> open_below(const std::vector<std::string>& below) {
  if (below.size() > kMostBelow) {
    return fail(ErrorKind::kInvalid,
                "there are {} layers on top of one another; {} are the most. `mote layer commit` "
                "makes one image of them",
                below.size(), kMostBelow);
  }
  OpenedStack opened;
  opened.fds.push_back(-1);
  if (below.empty()) return opened;
  auto image = HostFile::open(below.front(), Access::kReadOnly);
  if (!image) return within(std::move(image.error()), "image", below.front());
  auto layer = begins_as_layer(**image);
  if (!layer) return within(std::move(layer.error()), "image", below.front());
  // The lowest may be a layer that lies on nothing. Should an image's guest have made it look like
  // one, its guest is all that sees something else for it: a layer names no file.
  std::span<const std::string> layers(below);
  if (!*layer) {
    opened.fds.front() = (*image)->fd();
    auto stack = Stack::on(std::move(*image));
    if (!stack) return within(std::move(stack.error()), "image", below.front());
    opened.stack = std::move(*stack);
    layers = layers.subspan(1);
  }
  for (const std::string& path : layers) {
    auto pushed = push(opened, path, Access::kReadOnly, MapWrites::kThrough);
    if (!pushed) return within(std::move(pushed.error()), "layer", path);
  }
  return opened;
}

Result<OpenedStack> open_stack(const std::string& path, const std::vector<std::string>& below,
                               Access access, MapWrites writes) {
  MOTE_TRY(OpenedStack opened, open_below(below));
  if (auto pushed = push(opened, path, access, writes); !pushed) {
    return within(std::move(pushed.error()), "layer", path);
  }
  return opened;
}

Result<void> create_layer(const std::string& path, const std::vector<std::string>& below,
                          std::uint64_t size, unsigned cluster_bits) {
  MOTE_TRY(OpenedStack opened, open_below(below));
  if (opened.stack.has_image()) {
    MOTE_CHECK_WITHIN(check_raw(opened.stack.file(0)), "image {}", json::quote(below.front()));
  }
  const Identity& under = opened.stack.identity();
  if (opened.stack.layers() > 0 && opened.stack.top().header().use != Use::kSealed) {
    return fail(ErrorKind::kInvalid, "layer {} is not sealed: what lies on it would change with it",
                json::quote(below.back()));
  }
  if (size == 0) size = under.size;
  if (size < under.size) {
    return fail(ErrorKind::kInvalid, "layer {}: a disk of {} bytes on one of {}; it cannot be less",
                json::quote(path), size, under.size);
  }
  if (cluster_bits == 0) cluster_bits = usual_cluster_bits(size);
  MOTE_CHECK_WITHIN(check_shape(size, cluster_bits), "layer {}", json::quote(path));
  auto file = HostFile::create(path);
  if (!file) return within(std::move(file.error()), "layer", path);
  if (auto made = Layer::create(**file, size, cluster_bits, under); !made) {
    ::unlink(path.c_str());
    return within(std::move(made.error()), "layer", path);
  }
  return {};
}

}  // namespace mote::storage::overlay

#include "engine/layer_files.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <boost/describe/class.hpp>

#include "base/json.h"
#include "base/json_describe.h"
#include "base/zeros.h"
#include "snapshot/new_file.h"
#include "storage/cursor.h"
#include "storage/overlay/stack.h"

namespace mote::engine {
namespace {

namespace overlay = storage::overlay;

// How a layer is shown.
struct Info {
  std::string id;
  std::string use;
  std::uint64_t size = 0;          // of the disk, bytes
  std::uint64_t cluster_size = 0;  // bytes
  std::uint64_t clusters_held = 0;
  std::string lies_on;  // nothing, an image, a layer
  std::string below_id;
  std::uint64_t below_size = 0;
};
BOOST_DESCRIBE_STRUCT(Info, (),
                      (id, use, size, cluster_size, clusters_held, lies_on, below_id, below_size))

std::string hex(const overlay::Id& id) {
  std::string text;
  for (const std::uint8_t byte : id) text += fmt::format("{:02x}", byte);
  return text;
}

const char* name_of(overlay::Use use) {
  switch (use) {
    case overlay::Use::kFresh:
      return "fresh";
    case overlay::Use::kUsed:
      return "used";
    case overlay::Use::kSealed:
      break;
  }
  return "sealed";
}

const char* name_of(overlay::Below below) {
  switch (below) {
    case overlay::Below::kNothing:
      return "nothing";
    case overlay::Below::kRaw:
      return "image";
    case overlay::Below::kLayer:
      break;
  }
  return "layer";
}

Result<std::unique_ptr<overlay::Layer>> open_layer(const std::string& path) {
  MOTE_TRY(auto file, storage::HostFile::open(path, storage::Access::kReadOnly));
  auto layer = overlay::Layer::open(std::move(file), storage::Access::kReadOnly);
  if (!layer) return std::unexpected(std::move(layer.error()).within(json::quote(path)));
  return layer;
}

// How many clusters `layer` holds; what cannot be read of its map is told by `damaged`.
std::uint64_t count_held(overlay::Layer& layer, std::vector<std::string>* damaged) {
  const overlay::Header& header = layer.header();
  const std::uint64_t page = overlay::kBitsPerPage << header.cluster_bits;  // bytes that one maps
  std::uint64_t held = 0;
  for (std::uint64_t at = 0; at < header.size;) {
    const auto run = layer.find(at, header.size - at);
    if (!run) {
      if (damaged != nullptr) {
        damaged->push_back(fmt::format("from byte {} of the disk on: {}", at, run.error().text()));
      }
      at = (at / page + 1) * page;
      continue;
    }
    if (run->held) held += (run->length + header.cluster_size() - 1) >> header.cluster_bits;
    at += run->length;
  }
  return held;
}

Result<void> copy_out(overlay::Stack& stack, std::uint64_t size, int to) {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
  std::vector<std::byte> bytes;
  for (std::uint64_t at = 0; at < size;) {
    MOTE_TRY(const overlay::Extent extent, stack.find(at, std::min(kPiece, size - at)));
    if (extent.file) {
      bytes.resize(extent.length);
      MOTE_CHECK(stack.file(*extent.file).read_bytes(bytes, extent.offset));
      if (!is_zero(bytes)) MOTE_CHECK(write_at(to, bytes, at));
    }
    at += extent.length;
  }
  return {};
}

}  // namespace

Result<void> create_layer(const std::string& path, const std::vector<std::string>& below,
                          std::uint64_t size, std::uint64_t cluster) {
  if (cluster != 0 && !std::has_single_bit(cluster)) {
    return fail(ErrorKind::kInvalid, "clusters of {} bytes; a power of two is wanted", cluster);
  }
  return overlay::create_layer(path, below, size,
                               cluster == 0 ? 0 : static_cast<unsigned>(std::countr_zero(cluster)));
}

Result<std::string> layer_info(const std::string& path, bool json) {
  MOTE_TRY(const auto layer, open_layer(path));
  const overlay::Header& header = layer->header();
  Info info{.id = hex(header.id),
            .use = name_of(header.use),
            .size = header.size,
            .cluster_size = header.cluster_size(),
            .clusters_held = count_held(*layer, nullptr),
            .lies_on = name_of(header.below.kind),
            .below_id = hex(header.below.id),
            .below_size = header.below.size};
  if (json) return json::write(info) + "\n";
  return fmt::format(
      "id = {}\nuse = {}\nsize = {}\ncluster_size = {}\nclusters_held = {}\nlies_on = {}\n"
      "below_id = {}\nbelow_size = {}\n",
      info.id, info.use, info.size, info.cluster_size, info.clusters_held, info.lies_on,
      info.below_id, info.below_size);
}

Result<std::vector<std::string>> check_layer(const std::string& path,
                                             const std::vector<std::string>& below) {
  MOTE_TRY(const auto layer, open_layer(path));
  std::vector<std::string> findings;
  count_held(*layer, &findings);
  if (layer->damaged_pages() > 0) {
    findings.push_back(fmt::format("{} pages of the map have a damaged copy: the older one counts",
                                   layer->damaged_pages()));
  }
  if (!below.empty()) {
    MOTE_TRY(const auto opened, overlay::open_below(below));
    if (opened.stack.identity() != layer->header().below) {
      findings.push_back(fmt::format("it was not made on {}", json::quote(below.back())));
    }
  }
  return findings;
}

Result<void> commit_layers(const std::string& path, const std::vector<std::string>& layers) {
  if (layers.empty()) return fail(ErrorKind::kInvalid, "there are no layers to make an image of");
  MOTE_TRY(auto opened, overlay::open_below(layers));
  const std::uint64_t size = opened.stack.identity().size;
  MOTE_TRY(snapshot::NewFile file, snapshot::NewFile::create(path));
  if (::ftruncate(file.fd(), static_cast<off_t>(size)) < 0) {
    return fail_errno(errno, "make {} {} bytes long", json::quote(path), size);
  }
  MOTE_CHECK_WITHIN(copy_out(opened.stack, size, file.fd()), "{}", json::quote(path));
  return file.commit();
}

}  // namespace mote::engine

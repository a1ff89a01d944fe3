#include "storage/qcow2/chain.h"

#include <algorithm>
#include <vector>

namespace mote::storage::qcow2 {
namespace {

// The files that are open so far, topmost first.
using Layers = std::vector<std::string>;

Result<std::unique_ptr<HostFile>> open_layer(const std::string& path, Access access,
                                             Layers& layers) {
  if (layers.size() == kMostLayers) {
    return fail(ErrorKind::kInvalid, "'{}' would be layer {} of an image; {} are the most", path,
                kMostLayers + 1, kMostLayers);
  }
  MOTE_TRY(auto file, HostFile::open(path, access));
  if (std::ranges::find(layers, file->identity()) != layers.end()) {
    return fail(ErrorKind::kInvalid, "'{}' is its own backing file, through others maybe", path);
  }
  layers.push_back(file->identity());
  return file;
}

// Where the backing file is that the image at `path` names: beside it, unless it says otherwise.
Result<std::string> backing_path(const std::string& path, const std::string& name) {
  const std::size_t mark = name.find_first_of(":/");
  if (mark != std::string::npos && name[mark] == ':') {
    return fail(ErrorKind::kUnsupported,
                "the image names the backing file '{}', which is not a path of a file", name);
  }
  const std::size_t slash = path.rfind('/');
  if (name.starts_with('/') || slash == std::string::npos) return name;
  return path.substr(0, slash + 1) + name;
}

Result<std::unique_ptr<Image>> open_image(const std::string& path, const Options& options,
                                          Layers& layers);

Result<std::unique_ptr<Backing>> open_backing(const std::string& path, const Header& header,
                                              const Options& options, Layers& layers) {
  const std::string& name = *header.backing_file;
  if (!options.backing_files) {
    return fail(ErrorKind::kInvalid,
                "the image names the backing file '{}'; give backing_files true if it may be "
                "opened and read by the guest",
                name);
  }
  if (!header.backing_format) {
    return fail(ErrorKind::kInvalid,
                "the image names the backing file '{}' without its format, which is not guessed; "
                "set it with qemu-img rebase -u -F",
                name);
  }
  MOTE_TRY(const std::string file, backing_path(path, name));
  if (*header.backing_format == "raw") {
    MOTE_TRY(auto raw, open_layer(file, Access::kReadOnly, layers));
    return std::make_unique<RawBacking>(std::move(raw));
  }
  if (*header.backing_format != "qcow2") {
    return fail(ErrorKind::kUnsupported,
                "the image names the backing file '{}' of format '{}'; raw and qcow2 are supported",
                name, *header.backing_format);
  }
  return open_image(file, {.access = Access::kReadOnly, .backing_files = true}, layers);
}

Result<std::unique_ptr<Image>> open_image(const std::string& path, const Options& options,
                                          Layers& layers) {
  MOTE_TRY(auto file, open_layer(path, options.access, layers));
  const auto within = [&path](Error error) {
    return std::unexpected(std::move(error).within(fmt::format("qcow2 image '{}'", path)));
  };
  auto image = Image::open(std::move(file), options.access);
  if (!image) return within(std::move(image.error()));
  if ((*image)->header().backing_file) {
    auto backing = open_backing(path, (*image)->header(), options, layers);
    if (!backing) return within(std::move(backing.error()));
    (*image)->set_backing(std::move(*backing));
  }
  return std::move(*image);
}

}  // namespace

Result<OpenedImage> open_chain(const std::string& path, const Options& options) {
  Layers layers;
  MOTE_TRY(auto image, open_image(path, options, layers));
  return OpenedImage{.image = std::move(image), .identity = layers.front()};
}

}  // namespace mote::storage::qcow2

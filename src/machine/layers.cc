#include "machine/layers.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "storage/overlay/stack.h"

namespace mote::machine {
namespace {

namespace overlay = storage::overlay;

Result<std::string> name_of_sealed(const std::string& path) {
  std::uint32_t mark = 0;
  if (::getrandom(&mark, sizeof mark, 0) != sizeof mark) {
    return fail_errno(errno, "make a name for a sealed layer");
  }
  return fmt::format("{}.{:08x}", path, mark);
}

Result<void> check_unused(const virtio::BlockConfig& drive) {
  MOTE_TRY(const auto opened,
           overlay::open_stack(*drive.path_on_host, drive.layers, storage::Access::kReadOnly,
                               overlay::MapWrites::kThrough));
  if (opened.stack.top().header().use == overlay::Use::kFresh) return {};
  return fail(ErrorKind::kState,
              "{} holds what another microVM wrote; name a path where nothing is",
              json::quote(*drive.path_on_host));
}

// Whether it was made; else it was there.
Result<bool> provide(const virtio::BlockConfig& drive) {
  struct stat there{};
  if (look_at(*drive.path_on_host, there, AT_SYMLINK_NOFOLLOW)) {
    MOTE_CHECK(check_unused(drive));
    return false;
  }
  MOTE_CHECK(overlay::create_layer(*drive.path_on_host, drive.layers));
  return true;
}

}  // namespace

Result<VmConfig> seal_layers(VmConfig& live,
                             const std::function<virtio::Block*(std::string_view id)>& find) {
  VmConfig saved = live;
  for (std::size_t i = 0; i < live.drives.size(); ++i) {
    virtio::BlockConfig& drive = live.drives[i];
    if (!virtio::writes_layer(drive)) continue;
    virtio::Block* const device = find(drive.drive_id);
    if (device == nullptr) {
      return fail(ErrorKind::kInternal, "drive '{}' has no device", drive.drive_id);
    }
    MOTE_TRY(const std::string sealed, name_of_sealed(*drive.path_on_host));
    MOTE_TRY(const bool done, device->freeze(sealed));
    if (done) drive.layers.push_back(sealed);
    saved.drives[i].layers = drive.layers;
    saved.drives[i].path_on_host = drive.layers.back();
    saved.drives[i].layers.pop_back();
  }
  return saved;
}

Result<NewLayers> NewLayers::make(const VmConfig& config) {
  NewLayers layers;
  for (const virtio::BlockConfig& drive : config.drives) {
    if (!virtio::writes_layer(drive)) continue;
    auto made = provide(drive);
    if (!made) {
      return std::unexpected(
          std::move(made.error()).within(fmt::format("drive '{}'", drive.drive_id)));
    }
    if (*made) layers.made_.push_back(*drive.path_on_host);
  }
  return layers;
}

NewLayers::~NewLayers() {
  for (const std::string& path : made_) ::unlink(path.c_str());
}

}  // namespace mote::machine

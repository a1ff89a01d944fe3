// Layer is one open layer: its header and its map. Where its clusters are is in format.h; they are
// read and written by others, who say afterwards that the layer holds them.
//
// What must not be lost: the map says that a cluster is held only once its data is written. With
// MapWrites::kThrough the map's page follows the data at once: a monitor that is killed loses
// nothing that was done. With kOnFlush the page waits for a flush, which first sees to it that the
// data is on stable storage: a host that loses its power loses nothing that was flushed, and what
// was not is as it was before.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "storage/image_file.h"
#include "storage/overlay/format.h"
#include "storage/overlay/page_pair.h"

namespace mote::storage::overlay {

// Whether a file has the mark of a layer where a copy of its header would be.
Result<bool> begins_as_layer(ImageFile& file);

enum class MapWrites : std::uint8_t { kThrough, kOnFlush };

class Layer {
 public:
  // Writes a layer that holds nothing into `file`, which is empty, with an id of its own. O(1); not
  // flushed. Errors: a size or clusters that the format does not have (kInvalid).
  static Result<void> create(ImageFile& file, std::uint64_t size, unsigned cluster_bits,
                             const Identity& below);
  // Reads and checks the header. A layer that is to be written must not be sealed. Errors: no
  // layer, or one that says what cannot be (kInvalid); of a later version (kUnsupported).
  static Result<std::unique_ptr<Layer>> open(std::unique_ptr<ImageFile> file, Access access,
                                             MapWrites writes = MapWrites::kThrough);

  const Header& header() const { return header_; }
  ImageFile& file() { return *file_; }
  // Pages of which the newer copy was damaged, and what it said is lost.
  std::uint64_t damaged_pages() const { return damaged_; }

  // Whether the layer holds the cluster of the disk's byte `offset`, and how far that goes: at most
  // `length` (more than 0) bytes, which are inside the disk. Error (kIo): that part of the map is
  // damaged.
  struct Run {
    bool held = false;
    std::uint64_t length = 0;
  };
  Result<Run> find(std::uint64_t offset, std::uint64_t length);
  // Clusters of the disk, `first` and those behind it, are held from now on: their data is written.
  // An error: they are not.
  Result<void> hold(std::uint64_t first, std::uint64_t count);

  // What a flush has to write of the map, taken before the data is flushed: what is held later is
  // not in it. One at a time.
  struct Changes {
    struct Changed {
      std::uint32_t index = 0;
      Page page;
    };
    std::vector<Changed> pages;
    bool empty() const { return pages.empty(); }
  };
  Changes take_changes();
  // Writes them, once the data is on stable storage, and settles what became of them, once they are
  // as well or are not.
  Result<void> write(Changes& changes);
  void settle(const Changes& changes, bool stable);
  // All of it: data, map.
  Result<void> flush();

  // Marks the layer as sealed, on stable storage with all that it holds; or takes that back.
  Result<void> seal();
  Result<void> unseal() { return set_use(Use::kUsed); }

 private:
  enum class State : std::uint8_t { kUnknown, kBlank, kThere };
  struct MapPage {
    State state = State::kUnknown;
    bool dirty = false;
    std::unique_ptr<Page> page;
  };

  Layer(std::unique_ptr<ImageFile> file, const Header& header, Page page, MapWrites writes);
  Result<void> set_use(Use use);
  // Null: it holds nothing.
  Result<Page*> look_up(std::uint64_t index);
  Result<void> mark(std::uint64_t index, std::uint64_t first, std::uint64_t count);

  std::unique_ptr<ImageFile> file_;
  Header header_;
  Page header_page_;
  MapWrites writes_;
  std::vector<MapPage> map_;
  std::vector<std::uint32_t> dirty_;
  std::uint64_t damaged_ = 0;
};

}  // namespace mote::storage::overlay

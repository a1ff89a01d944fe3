// A page of a layer that is in its file twice, so that one copy is whole whatever becomes of the
// other.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "storage/image_file.h"
#include "storage/overlay/format.h"

namespace mote::storage::overlay {

// A page's contents, and which of its copies they are in.
struct Page {
  std::uint64_t sequence = 0;  // 0: never written, all zeros
  bool second = false;         // in the second copy
  bool damaged = false;        // the other copy is, which may have been newer
  Payload payload{};
};

// The newest whole copy of page `number`; a page of zeros where nothing was ever written. Error
// (kIo): both are damaged.
Result<Page> read_page(ImageFile& file, std::uint32_t number);

// Writes `page` over the copy that it does not lie in; it lies there afterwards. Where this fails
// the older copy is whole still, and `page` is as it was.
Result<void> write_page(ImageFile& file, std::uint32_t number, Page& page);

}  // namespace mote::storage::overlay

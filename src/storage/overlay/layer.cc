#include "storage/overlay/layer.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <utility>

#include "storage/overlay/header.h"

namespace mote::storage::overlay {
namespace {

// How many bits from `at` on are as the one at `at`, `most` at most.
std::uint64_t run_of(const Payload& bits, std::uint64_t at, std::uint64_t most) {
  const std::uint64_t flip = (bits[at / 64] >> at % 64 & 1) != 0 ? ~std::uint64_t{0} : 0;
  std::uint64_t run = 0;
  while (run < most) {
    const std::uint64_t here = at + run;
    const std::uint64_t word = (bits[here / 64] ^ flip) >> here % 64;
    const std::uint64_t same = word == 0 ? 64 - here % 64 : std::countr_zero(word);
    run += same;
    if (word != 0) break;
  }
  return std::min(run, most);
}

void set_bits(Payload& bits, std::uint64_t first, std::uint64_t count) {
  while (count > 0) {
    const std::uint64_t in_word = std::min<std::uint64_t>(count, 64 - first % 64);
    const std::uint64_t ones =
        in_word == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << in_word) - 1;
    bits[first / 64] |= ones << first % 64;
    first += in_word;
    count -= in_word;
  }
}

constexpr std::uint32_t number_of(std::uint64_t index) {
  return static_cast<std::uint32_t>(index + 1);
}

}  // namespace

Layer::Layer(std::unique_ptr<ImageFile> file, const Header& header, Page page, MapWrites writes)
    : file_(std::move(file)),
      header_(header),
      header_page_(page),
      writes_(writes),
      map_(header.map_pages()) {}

Result<void> Layer::create(ImageFile& file, std::uint64_t size, unsigned cluster_bits,
                           const Identity& below) {
  MOTE_CHECK(check_shape(size, cluster_bits));
  Header header;
  header.cluster_bits = cluster_bits;
  header.size = size;
  header.below = below;
  if (::getrandom(header.id.data(), header.id.size(), 0) !=
      static_cast<ssize_t>(header.id.size())) {
    return fail_errno(errno, "make an id for a layer");
  }
  Page page{.second = true, .payload = to_payload(header)};
  MOTE_CHECK(file.grow(header.data_offset() + header.size));
  return write_page(file, 0, page);
}

Result<bool> begins_as_layer(ImageFile& file) {
  std::array<std::array<char, kMagic.size()>, 2> marks{};
  for (std::size_t copy = 0; copy < marks.size(); ++copy) {
    MOTE_CHECK(file.read_bytes(std::as_writable_bytes(std::span(marks[copy])), copy * kPage));
  }
  return std::ranges::find(marks, kMagic) != marks.end();
}

Result<std::unique_ptr<Layer>> Layer::open(std::unique_ptr<ImageFile> file, Access access,
                                           MapWrites writes) {
  MOTE_TRY(const bool begins, begins_as_layer(*file));
  if (!begins) return fail(ErrorKind::kInvalid, "it is no layer");
  MOTE_TRY(Page page, read_page(*file, 0));
  if (page.sequence == 0) return fail(ErrorKind::kInvalid, "it is no layer");
  MOTE_TRY(const Header header, from_payload(page.payload));
  if (access == Access::kReadWrite && header.use == Use::kSealed) {
    return fail(ErrorKind::kInvalid,
                "the layer is sealed, as others lie on it; make a new one on top of it");
  }
  if (file->size() < header.data_offset() + header.size) {
    return fail(ErrorKind::kInvalid, "the layer is cut off: it has {} bytes in place of {}",
                file->size(), header.data_offset() + header.size);
  }
  return std::unique_ptr<Layer>(new Layer(std::move(file), header, page, writes));
}

Result<Page*> Layer::look_up(std::uint64_t index) {
  MapPage& entry = map_[index];
  if (entry.state == State::kUnknown) {
    MOTE_TRY(const Page page, read_page(*file_, number_of(index)));
    if (page.damaged) ++damaged_;
    // What a first copy that is damaged leaves is blank, and where the next one goes.
    if (page.sequence != 0 || page.damaged) entry.page = std::make_unique<Page>(page);
    entry.state = page.sequence == 0 && !page.damaged ? State::kBlank : State::kThere;
  }
  return entry.page.get();
}

Result<Layer::Run> Layer::find(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t cluster = offset >> header_.cluster_bits;
  const std::uint64_t inside = offset & (header_.cluster_size() - 1);
  const std::uint64_t at = cluster % kBitsPerPage;
  // So many of the clusters have their bits in the page.
  const std::uint64_t most = std::min(
      (inside + length + header_.cluster_size() - 1) >> header_.cluster_bits, kBitsPerPage - at);
  MOTE_TRY(const Page* const page, look_up(cluster / kBitsPerPage));
  const std::uint64_t run = page == nullptr ? most : run_of(page->payload, at, most);
  return Run{.held = page != nullptr && (page->payload[at / 64] >> at % 64 & 1) != 0,
             .length = std::min(length, (run << header_.cluster_bits) - inside)};
}

Result<void> Layer::hold(std::uint64_t first, std::uint64_t count) {
  if (header_.use == Use::kFresh) MOTE_CHECK(set_use(Use::kUsed));
  while (count > 0) {
    const std::uint64_t at = first % kBitsPerPage;
    const std::uint64_t here = std::min(count, kBitsPerPage - at);
    MOTE_CHECK(mark(first / kBitsPerPage, at, here));
    first += here;
    count -= here;
  }
  return {};
}

Result<void> Layer::mark(std::uint64_t index, std::uint64_t first, std::uint64_t count) {
  MOTE_TRY(Page * page, look_up(index));
  MapPage& entry = map_[index];
  if (page == nullptr) {
    entry.page = std::make_unique<Page>(Page{.second = true});
    entry.state = State::kThere;
    page = entry.page.get();
  }
  if (writes_ == MapWrites::kOnFlush) {
    set_bits(page->payload, first, count);
    if (!std::exchange(entry.dirty, true)) dirty_.push_back(static_cast<std::uint32_t>(index));
    return {};
  }
  Page changed = *page;
  set_bits(changed.payload, first, count);
  MOTE_CHECK(write_page(*file_, number_of(index), changed));
  *page = changed;
  return {};
}

// Flush
// ------------------------------------------------------------------------------------------------

Layer::Changes Layer::take_changes() {
  Changes changes;
  changes.pages.reserve(dirty_.size());
  for (const std::uint32_t index : std::exchange(dirty_, {})) {
    map_[index].dirty = false;
    changes.pages.push_back({.index = index, .page = *map_[index].page});
  }
  return changes;
}

Result<void> Layer::write(Changes& changes) {
  for (Changes::Changed& changed : changes.pages) {
    MOTE_CHECK(write_page(*file_, number_of(changed.index), changed.page));
  }
  return {};
}

void Layer::settle(const Changes& changes, bool stable) {
  for (const Changes::Changed& changed : changes.pages) {
    MapPage& entry = map_[changed.index];
    // Whatever is in the file, the next one is newer. Only a copy that is stable is kept from it.
    entry.page->sequence = std::max(entry.page->sequence, changed.page.sequence);
    if (stable) {
      entry.page->second = changed.page.second;
    } else if (!std::exchange(entry.dirty, true)) {
      dirty_.push_back(changed.index);
    }
  }
}

Result<void> Layer::flush() {
  Changes changes = take_changes();
  auto done = file_->sync();
  if (done && !changes.empty()) {
    done = write(changes);
    if (done) done = file_->sync();
  }
  settle(changes, done.has_value());
  return done;
}

Result<void> Layer::set_use(Use use) {
  Header header = header_;
  header.use = use;
  Page page = header_page_;
  page.payload = to_payload(header);
  MOTE_CHECK(write_page(*file_, 0, page));
  header_ = header;
  header_page_ = page;
  return {};
}

Result<void> Layer::seal() {
  MOTE_CHECK(flush());
  MOTE_CHECK(set_use(Use::kSealed));
  return file_->sync();
}

}  // namespace mote::storage::overlay

#include "storage/overlay/page_pair.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "base/checksum.h"

namespace mote::storage::overlay {
namespace {

// Nobody writes a page so often: what stands there would be lost by the next one.
constexpr std::uint64_t kMostSequence = std::uint64_t{1} << 62;

std::uint64_t offset_of(std::uint32_t number, bool second) {
  return (std::uint64_t{number} * 2 + (second ? 1 : 0)) * kPage;
}

std::uint64_t checksum_of(const RawPage& raw) {
  return checksum(std::as_bytes(std::span(&raw, 1)).subspan(offsetof(RawPage, sequence)));
}

bool is_blank(const RawPage& raw) {
  return std::ranges::all_of(std::as_bytes(std::span(&raw, 1)),
                             [](std::byte byte) { return byte == std::byte{0}; });
}

bool is_whole(const RawPage& raw, std::uint32_t number) {
  return raw.magic == kMagic && raw.number == number && raw.sequence != 0 &&
         raw.sequence < kMostSequence && raw.checksum == checksum_of(raw);
}

}  // namespace

Result<Page> read_page(ImageFile& file, std::uint32_t number) {
  std::array<RawPage, 2> copies;
  MOTE_CHECK(file.read_bytes(std::as_writable_bytes(std::span(copies)), offset_of(number, false)));
  const RawPage* newest = nullptr;
  unsigned damaged = 0;
  for (const RawPage& copy : copies) {
    if (is_blank(copy)) continue;
    if (!is_whole(copy, number)) {
      ++damaged;
    } else if (newest == nullptr || copy.sequence > newest->sequence) {
      newest = &copy;
    }
  }
  if (damaged == 2) {
    return fail(ErrorKind::kIo, "the layer is damaged: both copies of its page {} are", number);
  }
  Page page{.damaged = damaged > 0};
  if (newest == nullptr) {
    // The next one goes to the first copy, or over one that was cut short.
    page.second = is_blank(copies[1]);
    return page;
  }
  page.sequence = newest->sequence;
  page.second = newest == &copies[1];
  page.payload = newest->payload;
  return page;
}

Result<void> write_page(ImageFile& file, std::uint32_t number, Page& page) {
  RawPage raw{.magic = kMagic,
              .checksum = 0,
              .sequence = page.sequence + 1,
              .number = number,
              .free = 0,
              .payload = page.payload};
  raw.checksum = checksum_of(raw);
  MOTE_CHECK(file.write_bytes(std::as_bytes(std::span(&raw, 1)), offset_of(number, !page.second)));
  page.sequence = raw.sequence;
  page.second = !page.second;
  return {};
}

}  // namespace mote::storage::overlay

// A qcow2 image from somebody else: opened, read and written in memory, whatever its tables say.
// The numbers at the input's end say what is done; the rest is the image.
#include "storage/qcow2/image.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "fuzz/input.h"
#include "fuzz/parsers/memory_file.h"
#include "fuzz/target.h"
#include "storage/qcow2/format.h"

namespace mote::fuzz {
namespace {

using namespace storage::qcow2;

constexpr std::uint64_t kMostAtOnce = 8192;
constexpr int kSteps = 12;

struct Step {
  std::uint8_t what = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

void act(Image& image, const Step& step) {
  std::string bytes(step.length, 'w');
  std::array<iovec, 1> buffers{iovec{.iov_base = bytes.data(), .iov_len = bytes.size()}};
  // An error is an answer: no room, or an image that turns out to be corrupt.
  switch (step.what % 6) {
    case 0:
      return static_cast<void>(image.read(buffers, step.offset));
    case 1:
      return static_cast<void>(image.write(buffers, step.offset));
    case 2:
      return static_cast<void>(
          image.write_zeroes(step.offset, step.length, (step.what & 0x80) != 0));
    case 3:
      return static_cast<void>(image.discard(step.offset, step.length));
    case 4:
      return static_cast<void>(
          image.place_of_data(step.offset, step.length, (step.what & 0x80) != 0));
    default:
      return static_cast<void>(image.flush());
  }
}

// An image of 64 KiB that holds nothing: header, refcount table, a block of it, the L1 table.
std::string empty_image(std::uint32_t version) {
  constexpr std::uint64_t kCluster = 512;
  constexpr std::uint32_t kClusters = 4;
  std::string bytes(kClusters * kCluster, '\0');
  const std::span<std::byte> image(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
  store<std::uint32_t>(image, 0, kMagic);
  store<std::uint32_t>(image, 4, version);
  store<std::uint32_t>(image, 20, 9);
  store<std::uint64_t>(image, 24, 64 << 10);
  store<std::uint32_t>(image, 36, 2);
  store<std::uint64_t>(image, 40, 3 * kCluster);
  store<std::uint64_t>(image, 48, kCluster);
  store<std::uint32_t>(image, 56, 1);
  if (version == 3) {
    store<std::uint32_t>(image, 96, 4);
    store<std::uint32_t>(image, 100, 104);
  }
  store<std::uint64_t>(image, kCluster, 2 * kCluster);
  for (std::uint64_t i = 0; i < kClusters; ++i)
    store<std::uint16_t>(image, 2 * kCluster + 2 * i, 1);
  return bytes;
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  const bool read_only = input.once_in(4);
  std::array<Step, kSteps> steps;
  for (Step& step : steps) {
    step = {.what = input.number<std::uint8_t>(),
            .offset = std::uint64_t{input.number<std::uint16_t>()} * 512,
            .length = std::uint64_t{input.below<std::uint8_t>(kMostAtOnce / 512 + 1)} * 512};
  }
  auto image = Image::open(std::make_unique<MemoryFile>(input.rest()),
                           read_only ? storage::Access::kReadOnly : storage::Access::kReadWrite);
  if (!image) return require(!image.error().text().empty(), "an error says what is wrong");
  const std::uint64_t size = (*image)->header().size;
  if ((*image)->header().backing_file) {
    (*image)->set_backing(
        std::make_unique<RawBacking>(std::make_unique<MemoryFile>(std::string(4096, 'b'))));
  }
  for (const Step& step : steps) {
    if (step.length == 0 || step.offset > size || step.length > size - step.offset) continue;
    if (read_only && step.what % 6 != 0) continue;
    act(**image, step);
  }
}

std::vector<std::string> seeds() {
  std::vector<std::string> made;
  for (const std::uint32_t version : {2U, 3U}) {
    std::string steps;
    for (int i = 0; i < kSteps; ++i) {
      steps += std::string{static_cast<char>(4), static_cast<char>(0), static_cast<char>(i),
                           static_cast<char>(i % 5)};
    }
    made.push_back(empty_image(version) + steps + '\0');
  }
  return made;
}

}  // namespace mote::fuzz

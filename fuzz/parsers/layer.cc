// A layer from somebody else: opened, read, written, flushed and sealed in memory, whatever its
// header and its map say. The numbers at the input's end say what is done; the rest is the layer.
#include "storage/overlay/layer.h"

#include <array>
#include <cstring>
#include <span>

#include "base/checksum.h"
#include "fuzz/input.h"
#include "fuzz/parsers/memory_file.h"
#include "fuzz/target.h"
#include "storage/overlay/disk.h"

namespace mote::fuzz {
namespace {

using namespace storage;
using namespace storage::overlay;

constexpr std::uint64_t kMostAtOnce = 16384;
constexpr int kSteps = 12;

struct Step {
  std::uint8_t what = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// A checksum keeps accidents out, and nobody who means it.
void mend(std::string& bytes) {
  for (std::size_t at = 0; at + kPage <= bytes.size() && at < 6 * kPage; at += kPage) {
    RawPage page{};
    std::memcpy(&page, bytes.data() + at, sizeof page);
    if (page.magic != kMagic) continue;
    page.checksum =
        checksum(std::as_bytes(std::span(&page, 1)).subspan(offsetof(RawPage, sequence)));
    std::memcpy(bytes.data() + at, &page, sizeof page);
  }
}

// An error is an answer: no room, or a map that turns out to be damaged.
void act(Disk& disk, const Step& step) {
  std::string bytes(step.length, 'w');
  DiskRequest request{.offset = step.offset, .buffers = {}};
  switch (step.what % 5) {
    case 0:
      request.op = Op::kRead;
      break;
    case 1:
      request.op = Op::kWrite;
      break;
    case 2:
      request.op = Op::kWriteZeroes;
      break;
    case 3:
      request.op = Op::kDiscard;
      break;
    default:
      request = {.op = Op::kFlush, .buffers = {}};
  }
  if (is_range(request.op)) {
    request.length = step.length;
  } else if (request.op != Op::kFlush) {
    request.buffers.push_back({bytes.data(), bytes.size()});
  }
  int answers = 0;
  disk.submit(std::move(request), [&](const DiskRequest&, const Result<void>& result) {
    require(result || !result.error().text().empty(), "an error says what is wrong");
    ++answers;
  });
  disk.drain();
  require(answers == 1, "a request is answered once");
}

}  // namespace

void run(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  const bool read_only = input.once_in(4);
  const bool mends = !input.once_in(4);
  const auto writes = input.once_in(2) ? MapWrites::kThrough : MapWrites::kOnFlush;
  std::array<Step, kSteps> steps;
  for (Step& step : steps) {
    step = {.what = input.number<std::uint8_t>(),
            .offset = std::uint64_t{input.below<std::uint8_t>(140)} * 512,
            .length = std::uint64_t{input.below<std::uint8_t>(kMostAtOnce / 512 + 1)} * 512};
  }
  std::string file = input.rest();
  if (mends) mend(file);
  const auto access = read_only ? Access::kReadOnly : Access::kReadWrite;
  auto layer = Layer::open(std::make_unique<MemoryFile>(std::move(file)), access, writes);
  if (!layer) return require(!layer.error().text().empty(), "an error says what is wrong");
  Stack stack;
  if ((*layer)->header().below.kind == Below::kRaw) {
    auto on = Stack::on(std::make_unique<MemoryFile>(std::string(65536, 'b')));
    if (on) stack = std::move(*on);
  }
  if (!stack.push(std::move(*layer))) return;
  Layer& top = stack.top();
  OverlayDisk disk(std::move(stack), access, "");
  for (const Step& step : steps) act(disk, step);
  if (!read_only) static_cast<void>(top.seal());
}

std::vector<std::string> seeds() {
  std::vector<std::string> made;
  for (const unsigned bits : {12U, 16U}) {
    for (const bool on_image : {false, true}) {
      Identity below;
      if (on_image) {
        MemoryFile image(std::string(65536, 'b'));
        below = *identity_of_image(image);
      }
      auto file = std::make_unique<MemoryFile>("");
      MemoryFile& contents = *file;
      static_cast<void>(Layer::create(contents, 65536, bits, below));
      auto layer = Layer::open(std::move(file), Access::kReadWrite);
      if (layer) static_cast<void>((*layer)->hold(0, 1));
      std::string steps;
      for (int i = 0; i < kSteps; ++i) {
        steps += std::string{static_cast<char>(4 + i), static_cast<char>(8 * i),
                             static_cast<char>(i % 5)};
      }
      made.push_back(contents.bytes() + steps + std::string(3, '\0'));
    }
  }
  return made;
}

}  // namespace mote::fuzz

// A snapshot's working set: any bytes are refused with a sentence, or are runs of pages inside the
// memory file, which are written as they were read.
#include "snapshot/working_set.h"

#include <array>
#include <cstring>

#include "fuzz/target.h"

namespace mote::fuzz {
namespace {

constexpr std::uint64_t kSize = 64 << 20;

snapshot::WorkingSetStamp stamp() { return {.memory_size = kSize, .changed_ns = 1}; }

void try_out(std::span<const std::byte> bytes) {
  const auto runs = snapshot::read_working_set(bytes, stamp());
  if (!runs) return require(!runs.error().text().empty(), "an error says what is wrong");
  for (const snapshot::PageRun& run : *runs) {
    require(run.size > 0 && run.offset < kSize && run.size <= kSize - run.offset,
            "a run is inside the file");
  }
  const auto again = snapshot::make_working_set(stamp(), *runs);
  require(std::ranges::equal(again, bytes), "what was read is written so");
}

}  // namespace

void run(std::span<const std::uint8_t> input) {
  const auto bytes = std::as_bytes(input);
  try_out(bytes);
  // Behind a header that is sound.
  std::vector<snapshot::PageRun> runs;
  for (std::size_t at = 0; bytes.size() - at >= 16; at += 16) {
    std::array<std::uint64_t, 2> words;
    std::memcpy(words.data(), bytes.data() + at, sizeof words);
    runs.push_back({.offset = words[0], .size = words[1] & ~1ULL, .written = (words[1] & 1) != 0});
  }
  try_out(snapshot::make_working_set(stamp(), runs));
}

std::vector<std::string> seeds() {
  const std::vector<snapshot::PageRun> runs{{.offset = 8192, .size = 4096, .written = true},
                                            {.offset = 4096, .size = 8192}};
  const auto bytes = snapshot::make_working_set(stamp(), runs);
  return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
}

}  // namespace mote::fuzz

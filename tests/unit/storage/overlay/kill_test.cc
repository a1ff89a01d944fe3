// A process that is killed at any moment leaves everything that it had been told was done:
// MOTE_KILLS times (20 if it is not set).
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <new>

#include "storage/overlay/support.h"

namespace mote::storage::overlay::test {
namespace {

constexpr std::uint64_t kSectors = 4096;
constexpr std::uint64_t kZeros = UINT64_MAX;

// What the process that is killed tells the one that kills it.
struct Told {
  std::uint64_t holds[kSectors];  // the number in each sector; 0: as the base; kZeros
  // The request under way.
  std::uint64_t first, count, value;
  std::uint64_t writes;
  std::uint64_t layers;  // sealed ones
};

std::string sector_of(std::uint64_t value, std::uint64_t sector, const std::string& base) {
  if (value == 0) return base.substr(sector * 512, 512);
  if (value == kZeros) return std::string(512, '\0');
  return fmt::format("{:>512}", fmt::format("{} {}", value, sector));
}

[[noreturn]] void work(const Made& made, Told& told, unsigned seed) {
  auto disk = made.open(Access::kReadWrite, MapWrites::kThrough);
  if (!disk) ::_exit(3);
  std::mt19937 random(seed);
  while (true) {
    if (random() % 40 == 0) {
      const std::string sealed = made.place / fmt::format("sealed{}", told.layers);
      // Where nothing was written since the last one, nothing is sealed.
      if (told.layers < 8 && (*disk)->freeze(sealed).value_or(false)) ++told.layers;
    }
    told.first = random() % kSectors;
    told.count = 1 + random() % std::min<std::uint64_t>(kSectors - told.first, 100);
    const bool zeros = random() % 8 == 0;
    told.value = zeros ? kZeros : told.writes + 1;
    std::string bytes;
    for (std::uint64_t i = told.first; i < told.first + told.count; ++i) {
      bytes += sector_of(told.value, i, "");
    }
    const bool done =
        zeros ? submit_range(**disk, Op::kWriteZeroes, told.first * 512, bytes.size()).has_value()
              : submit(**disk, Op::kWrite, told.first * 512, bytes).has_value();
    if (!done) ::_exit(4);
    for (std::uint64_t i = told.first; i < told.first + told.count; ++i) {
      told.holds[i] = told.value;
    }
    told.count = 0;
    ++told.writes;
  }
}

// As the documentation says it is mended: where the kill fell between a seal and what follows it.
void mend(Made& made, Told& told) {
  const std::string next = made.place / fmt::format("sealed{}", told.layers);
  const bool renamed = std::filesystem::exists(next);
  if (renamed && !std::filesystem::exists(made.top)) {
    std::filesystem::rename(made.top + ".new", made.top);
  }
  if (renamed) ++told.layers;
  made.below = {made.base};
  for (std::uint64_t i = 0; i < told.layers; ++i) {
    made.below.push_back(made.place / fmt::format("sealed{}", i));
  }
  if (made.open(Access::kReadWrite)) return;
  ASSERT_FALSE(renamed);
  std::filesystem::rename(made.top, next);
  made.below.push_back(next);
  ++told.layers;
  ASSERT_TRUE(create_layer(made.top, made.below));
}

TEST(OverlayKill, LosesNothingThatWasDone) {
  const char* const wanted = ::getenv("MOTE_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 20;
  const std::string base = pattern(kSectors * 512);
  void* const memory =
      ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Told& told = *new (memory) Told();
  std::unique_ptr<Made> made;
  std::mt19937 random(17);
  std::uint64_t writes = 0;
  for (int kill = 0; kill < kills; ++kill) {
    if (kill % 10 == 0) {
      made = std::make_unique<Made>(base, 0, kill % 20 == 0 ? 12 : 16);
      told = {};
    }
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) work(*made, told, random());
    ::usleep(static_cast<useconds_t>(2000 + random() % 30000));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    mend(*made, told);
    auto disk = made->open(Access::kReadOnly);
    ASSERT_TRUE(disk) << disk.error().text();
    const std::string now = read_all(**disk);
    for (std::uint64_t i = 0; i < kSectors; ++i) {
      const std::string is = now.substr(i * 512, 512);
      const bool in_flight = i >= told.first && i < told.first + told.count;
      const bool old = is == sector_of(told.holds[i], i, base);
      const bool fresh = in_flight && is == sector_of(told.value, i, base);
      ASSERT_TRUE(old || fresh) << "kill " << kill << ", sector " << i;
      if (!old) told.holds[i] = told.value;
    }
    told.count = 0;
    writes = std::max(writes, told.writes);
  }
  EXPECT_GT(writes, 0U);
  ::munmap(memory, sizeof(Told));
}

}  // namespace
}  // namespace mote::storage::overlay::test

// Working sets: what a file says is checked whole, a file that is of something else is of no use,
// and a set that was noted is brought in by the next.
#include "snapshot/working_set.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "temp_dir.h"

namespace mote::snapshot {
namespace {

constexpr std::uint64_t kMib = 1 << 20;
constexpr std::uint64_t kPage = 4096;

WorkingSetStamp stamp() {
  return {.id = {std::byte{7}}, .memory_size = 64 * kMib, .changed_ns = 5};
}
const std::vector<PageRun> kRuns{{.offset = 8 * kPage, .size = 3 * kPage},
                                 {.offset = 0, .size = kPage, .written = true},
                                 {.offset = 0, .size = kPage},
                                 {.offset = 64 * kMib - kPage, .size = kPage}};

TEST(WorkingSetFile, SaysWhatWasWritten) {
  const auto bytes = make_working_set(stamp(), kRuns);
  const auto read = read_working_set(bytes, stamp());
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(*read, kRuns) << "in their order";
  EXPECT_TRUE(read_working_set(make_working_set(stamp(), {}), stamp())->empty());
}

TEST(WorkingSetFile, OfAnotherSnapshotOrAChangedMemoryFileIsNone) {
  const auto bytes = make_working_set(stamp(), kRuns);
  auto other = stamp();
  other.id[15] = std::byte{1};
  EXPECT_FALSE(read_working_set(bytes, other));
  other = stamp();
  other.memory_size += kPage;
  EXPECT_FALSE(read_working_set(bytes, other));
  other = stamp();
  ++other.changed_ns;
  EXPECT_FALSE(read_working_set(bytes, other));
}

TEST(WorkingSetFile, CutOffOrDamagedIsNone) {
  const auto bytes = make_working_set(stamp(), kRuns);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(read_working_set(std::span(bytes).first(size), stamp())) << size;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto bad = bytes;
    bad[at] ^= std::byte{0x10};
    EXPECT_FALSE(read_working_set(bad, stamp())) << at;
  }
  auto longer = bytes;
  longer.resize(longer.size() + 16);
  EXPECT_FALSE(read_working_set(longer, stamp()));
}

TEST(WorkingSetFile, RunsThatAreNoPagesOfTheFileAreRefused) {
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  for (const PageRun& run : std::vector<PageRun>{{0, 0},
                                                 {0, 0, true},
                                                 {1, kPage},
                                                 {0, 6},
                                                 {64 * kMib, kPage},
                                                 {64 * kMib - kPage, 2 * kPage},
                                                 {kMax - kPage + 1, kPage},
                                                 {kPage, kMax - kPage + 1}}) {
    EXPECT_FALSE(read_working_set(make_working_set(stamp(), std::span(&run, 1)), stamp()))
        << run.offset;
  }
}

TEST(WorkingSetFile, HasNoMoreRunsThanMayBeRead) {
  std::vector<PageRun> many;
  for (std::size_t i = 0; i < kMaxRuns + 9; ++i) many.push_back({.offset = 0, .size = kPage});
  const auto read = read_working_set(make_working_set(stamp(), many), stamp());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->size(), kMaxRuns);
}

TEST(Runs, AreJoinedOverSmallGaps) {
  std::vector<std::uint64_t> words(64);
  const auto mark = [&](std::size_t page) { words[page / 64] |= std::uint64_t{1} << (page % 64); };
  for (const std::size_t page : {0U, 1U, 17U, 63U, 64U, 1000U, 4095U}) mark(page);
  EXPECT_EQ(
      runs_of(words, 16),
      (std::vector<PageRun>{
          {0, 18 * kPage}, {63 * kPage, 2 * kPage}, {1000 * kPage, kPage}, {4095 * kPage, kPage}}));
  EXPECT_EQ(runs_of(words, 0).size(), 5U);
  EXPECT_TRUE(runs_of(std::vector<std::uint64_t>(3), 16).empty());
}

TEST(Runs, HaveWhatIsWrittenBeforeWhatItIsReadWith) {
  std::vector<std::uint64_t> touched(4);
  std::vector<std::uint64_t> written(4);
  touched[0] = 0b1111;
  written[0] = 0b0110;
  touched[1] = 1;
  written[2] = 1;  // not touched now: of an earlier look
  touched[3] = written[3] = std::uint64_t{1} << 63;
  std::vector<PageRun> runs{{.offset = 7 * kPage, .size = kPage}};
  add_runs(touched, written, runs);
  EXPECT_EQ(runs, (std::vector<PageRun>{{7 * kPage, kPage},
                                        {kPage, 2 * kPage, true},
                                        {0, 4 * kPage},
                                        {64 * kPage, kPage},
                                        {255 * kPage, kPage, true},
                                        {255 * kPage, kPage}}));
}

class Attached : public testing::Test {
 protected:
  void SetUp() override {
    const std::string zeros(4 * kMib, 'm');
    path_ = dir_.write("memory", zeros);
    loop_ = std::move(*EventLoop::create());
  }
  memory::GuestMemory map() {
    auto fd = std::make_shared<const UniqueFd>(::open(path_.c_str(), O_RDONLY));
    auto memory = memory::GuestMemory::map_layers(
        {.ranges = {{.start = 0, .size = kMib}, {.start = 64 * kMib, .size = 3 * kMib}}},
        {.files = {fd}, .extents = {{.offset = 0, .size = 4 * kMib}}});
    EXPECT_TRUE(memory) << memory.error().text();
    return std::move(*memory);
  }
  std::shared_ptr<WorkingSet> attach(const memory::GuestMemory& memory,
                                     std::array<std::byte, 16> id = {},
                                     memory::PageTable table = {}) {
    auto made = WorkingSet::attach(*loop_, memory, path_, UniqueFd(::open(path_.c_str(), O_RDONLY)),
                                   id, std::move(table));
    EXPECT_TRUE(made) << made.error().text();
    return *made;
  }
  static bool present(const memory::GuestMemory& memory, memory::GuestAddress at) {
    std::vector<std::uint64_t> word(1);
    const auto slice = memory.slice(at, kPage);
    const iovec page = slice->lend_for_reading();
    EXPECT_TRUE(memory::PageTable().present_pages(page, 0, word));
    return word[0] != 0;
  }
  static bool own(const memory::GuestMemory& memory, memory::GuestAddress at) {
    std::vector<std::uint64_t> word(1);
    const auto slice = memory.slice(at, kPage);
    EXPECT_TRUE(memory::PageTable().own_pages(slice->lend_for_reading(), 0, word));
    return word[0] != 0;
  }
  // What one load reads, and writes, until it is noted.
  void note(const std::vector<memory::GuestAddress>& addresses,
            const std::vector<memory::GuestAddress>& written = {},
            std::array<std::byte, 16> id = {}) {
    const memory::GuestMemory memory = map();
    const auto set = attach(memory, id);
    set->begin();
    for (const auto at : addresses) static_cast<void>(memory.read<std::uint32_t>(at));
    for (const auto at : written) EXPECT_TRUE(memory.write(at, std::uint32_t{1}));
    for (int turns = 0; turns < 100 && !std::filesystem::exists(path_ + ".ws"); ++turns) {
      ASSERT_TRUE(loop_->run_once(100));
    }
  }

  test::TempDir dir_;
  std::string path_;
  std::unique_ptr<EventLoop> loop_;
};

TEST_F(Attached, WhatOneTouchedTheNextHas) {
  if (::access("/proc/self/pagemap", R_OK) != 0) GTEST_SKIP() << "no page table can be read here";
  note({0, 65 * kMib}, {65 * kMib + 2 * kPage, 65 * kMib + 400 * kPage});
  ASSERT_TRUE(std::filesystem::exists(path_ + ".ws"));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".ws.new"));
  const memory::GuestMemory memory = map();
  EXPECT_FALSE(present(memory, 65 * kMib));
  const auto set = attach(memory);
  for (int tries = 0; tries < 500 && !present(memory, 65 * kMib); ++tries) ::usleep(10'000);
  EXPECT_TRUE(present(memory, 65 * kMib));
  EXPECT_TRUE(present(memory, 0));
  EXPECT_FALSE(present(memory, 66 * kMib));
  EXPECT_FALSE(own(memory, 65 * kMib));
  EXPECT_TRUE(own(memory, 65 * kMib + 2 * kPage));
  EXPECT_FALSE(own(memory, 65 * kMib + 3 * kPage));
  // What is the clone's own is what the file has.
  EXPECT_EQ(*memory.read<std::uint32_t>(65 * kMib + 2 * kPage), 0x6d6d6d6dU);
  const auto last = 65 * kMib + 400 * kPage;
  for (int tries = 0; tries < 500 && !own(memory, last); ++tries) ::usleep(10'000);
  EXPECT_TRUE(own(memory, last));
}

// The runs that were noted.
std::vector<PageRun> noted(const std::string& path, std::array<std::byte, 16> id = {}) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY));
  const auto stamp = stamp_of(id, file.get());
  std::ifstream stream(path + ".ws", std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  const auto runs = read_working_set(std::as_bytes(std::span(bytes)), *stamp);
  EXPECT_TRUE(runs) << runs.error().text();
  return runs ? *runs : std::vector<PageRun>{};
}

// The kernel maps and reads what is around a page that is touched.
TEST_F(Attached, WhatLiesAroundIsNotNoted) {
  if (::access("/proc/self/pagemap", R_OK) != 0) GTEST_SKIP() << "no page table can be read here";
  const UniqueFd file(::open(path_.c_str(), O_RDWR));
  ASSERT_EQ(::fsync(file.get()), 0);
  note({0, 65 * kMib + 8 * kPage}, {66 * kMib});
  if (noted(path_).size() > 4) GTEST_SKIP() << "its files do not leave this host's memory";
  EXPECT_EQ(
      noted(path_),
      (std::vector<PageRun>{
          {0, kPage}, {2 * kMib + 8 * kPage, kPage}, {3 * kMib, kPage, true}, {3 * kMib, kPage}}));
}

// On a slow disk the guest has not come to its first answer after some seconds.
TEST_F(Attached, IsNotedForAsLongAsNewPagesCome) {
  if (::access("/proc/self/pagemap", R_OK) != 0) GTEST_SKIP() << "no page table can be read here";
  const memory::GuestMemory memory = map();
  const auto set = attach(memory);
  set->begin();
  const auto last = 64 * kMib + 40 * 16 * kPage;
  for (auto at = 64 * kMib; at <= last; at += 16 * kPage) {
    for (int i = 0; i < 16; ++i) static_cast<void>(memory.read<std::uint32_t>(at + i * kPage));
    ASSERT_FALSE(std::filesystem::exists(path_ + ".ws"));
    ASSERT_TRUE(loop_->run_once(0));
    ::usleep(120'000);
  }
  for (int turns = 0; turns < 100 && !std::filesystem::exists(path_ + ".ws"); ++turns) {
    ASSERT_TRUE(loop_->run_once(100));
  }
  const std::uint64_t offset = last - 63 * kMib;
  EXPECT_TRUE(std::ranges::any_of(noted(path_), [&](const PageRun& run) {
    return run.offset <= offset && offset < run.offset + run.size;
  }));
}

// As in a jail, which has no /proc.
TEST_F(Attached, WithoutAPageTableWhatComesIntoThePageCacheIsNoted) {
  // All of the file is there, as it was just written.
  {
    const memory::GuestMemory memory = map();
    const auto set = attach(memory, {}, memory::PageTable::none());
    set->begin();
    for (int turns = 0; turns < 30; ++turns) ASSERT_TRUE(loop_->run_once(10));
    EXPECT_FALSE(std::filesystem::exists(path_ + ".ws"));
  }
  const memory::GuestMemory memory = map();
  const UniqueFd file(::open(path_.c_str(), O_RDWR));
  ASSERT_EQ(::fsync(file.get()), 0);
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  ASSERT_EQ(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_RANDOM), 0);
  std::vector<unsigned char> cached(256);
  const auto some = memory.slice(0, kMib)->lend_for_reading();
  ASSERT_EQ(::mincore(some.iov_base, some.iov_len, cached.data()), 0);
  if ((cached[0] & 1) != 0) GTEST_SKIP() << "its files do not leave this host's memory";
  {
    const auto set = attach(memory, {}, memory::PageTable::none());
    set->begin();
    ::usleep(500'000);  // until it has looked what is there
    static_cast<void>(memory.read<std::uint32_t>(65 * kMib));
    for (int turns = 0; turns < 100 && !std::filesystem::exists(path_ + ".ws"); ++turns) {
      ASSERT_TRUE(loop_->run_once(100));
    }
  }
  ASSERT_TRUE(std::filesystem::exists(path_ + ".ws"));
  const memory::GuestMemory next = map();
  const auto set = attach(next);
  for (int tries = 0; tries < 500 && !present(next, 65 * kMib); ++tries) ::usleep(10'000);
  EXPECT_TRUE(present(next, 65 * kMib));
  EXPECT_FALSE(own(next, 65 * kMib));
}

TEST_F(Attached, AnotherSnapshotsIsMadeAnew) {
  if (::access("/proc/self/pagemap", R_OK) != 0) GTEST_SKIP() << "no page table can be read here";
  const std::string junk = "something else";
  std::ofstream(path_ + ".ws") << junk;
  const memory::GuestMemory memory = map();
  const auto set = attach(memory, {std::byte{1}});
  set->begin();
  static_cast<void>(memory.read<std::uint32_t>(0));
  for (int turns = 0; turns < 100 && std::filesystem::file_size(path_ + ".ws") == junk.size();
       ++turns) {
    ASSERT_TRUE(loop_->run_once(100));
  }
  EXPECT_NE(std::filesystem::file_size(path_ + ".ws"), junk.size());
}

TEST_F(Attached, OneThatEndsEarlyLeavesNothing) {
  {
    const memory::GuestMemory memory = map();
    attach(memory)->begin();
    attach(memory);  // never begins
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + ".ws"));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".ws.new"));
}

// Whoever may write the directory would have the monitor write over any file.
TEST_F(Attached, WhereItsNameIsALinkNothingIsWritten) {
  const std::string other = dir_.write("other", "something else");
  std::filesystem::create_symlink(other, path_ + ".ws");
  const memory::GuestMemory memory = map();
  const auto set = attach(memory);
  EXPECT_FALSE(std::filesystem::exists(other + ".new"));
  set->begin();
  EXPECT_EQ(std::filesystem::file_size(other), std::string("something else").size());
}

TEST_F(Attached, WhereNothingCanBeWrittenTheLoadGoesOn) {
  ASSERT_TRUE(std::filesystem::create_directory(path_ + ".ws.new"));
  const memory::GuestMemory memory = map();
  attach(memory)->begin();
}

}  // namespace
}  // namespace mote::snapshot

// What every Disk does alike: one suite over all of them. A new disk is a rig in disk_rigs.h and
// one line in Rigs below.
#include <climits>
#include <filesystem>
#include <functional>

#include "storage/disk_rigs.h"

namespace mote::storage::test {
namespace {

template <typename Rig>
class DiskConformance : public ::testing::Test {
 protected:
  // Submits and waits; expects exactly one completion.
  Result<void> run(Op op, std::uint64_t offset, const std::vector<iovec>& buffers = {}) {
    return run(DiskRequest{.op = op, .offset = offset, .buffers = buffers});
  }
  Result<void> run_range(Op op, std::uint64_t offset, std::uint64_t length,
                         bool may_unmap = false) {
    return run(DiskRequest{
        .op = op, .offset = offset, .length = length, .may_unmap = may_unmap, .buffers = {}});
  }
  Result<void> run(DiskRequest asked) {
    std::optional<Result<void>> outcome;
    int completions = 0;
    disk().submit(asked, [&](const DiskRequest& request, Result<void> result) {
      EXPECT_EQ(request.op, asked.op);
      EXPECT_EQ(request.offset, asked.offset);
      ++completions;
      outcome = std::move(result);
    });
    disk().drain();
    EXPECT_EQ(completions, 1);
    return outcome.value_or(fail(ErrorKind::kInternal, "not completed"));
  }
  static std::vector<iovec> split(std::string& bytes, const std::vector<std::size_t>& lengths) {
    std::vector<iovec> buffers;
    std::size_t at = 0;
    for (const std::size_t length : lengths) {
      buffers.push_back({bytes.data() + at, length});
      at += length;
    }
    return buffers;
  }
  Disk& disk() { return *rig_.disk; }
  // Through another disk, where the file does not say it by itself and has one reader alone.
  std::string stored() {
    if constexpr (requires { rig_.open(); }) {
      rig_.disk.reset();
      std::string bytes = rig_.file.content();
      rig_.disk = rig_.open();
      return bytes;
    } else {
      return rig_.file.content();
    }
  }

  Rig rig_;
  const std::string before_ = pattern();
};

using Rigs = ::testing::Types<FileRig, ReadOnlyFileRig, ReadOnlyDiskRig, ForwardingRig, UringRig,
                              ReadOnlyUringRig, InMemoryUringRig, BounceRig, BounceUringRig,
                              Qcow2Rig, UringQcow2Rig, SmallClustersQcow2Rig, ReadOnlyQcow2Rig,
                              OverlayRig<Access::kReadWrite, Engine::kSync, MapWrites::kThrough>,
                              OverlayRig<Access::kReadWrite, Engine::kSync, MapWrites::kOnFlush>,
                              OverlayRig<Access::kReadWrite, Engine::kUring, MapWrites::kThrough>,
                              OverlayRig<Access::kReadWrite, Engine::kUring, MapWrites::kOnFlush>,
                              OverlayRig<Access::kReadOnly, Engine::kUring, MapWrites::kThrough>>;
TYPED_TEST_SUITE(DiskConformance, Rigs);

TYPED_TEST(DiskConformance, SaysWhatItIs) {
  EXPECT_EQ(this->disk().size(), kSectors * kSectorSize);
  EXPECT_EQ(this->disk().read_only(), !TypeParam::kWritable);
  EXPECT_FALSE(this->disk().identity().empty());
}

TYPED_TEST(DiskConformance, ReadsWhereverTheBuffersAre) {
  std::string bytes(1536, '\0');
  ASSERT_TRUE(this->run(Op::kRead, 2560, this->split(bytes, {1, 0, 511, 700, 324})));
  EXPECT_EQ(bytes, this->before_.substr(2560, 1536));
  std::string last(512, '\0');
  ASSERT_TRUE(this->run(Op::kRead, (kSectors - 1) * 512, this->split(last, {512})));
  EXPECT_EQ(last, this->before_.substr((kSectors - 1) * 512));
}

// What the page cache has is read in one call where the host's filesystem can say so.
TYPED_TEST(DiskConformance, ReadsAtOnceAllOrNothing) {
  std::string bytes(1536, '\0');
  ASSERT_TRUE(this->run(Op::kRead, 2560, this->split(bytes, {1536})));  // brings it in
  std::string again(1536, '\0');
  DiskRequest read{.op = Op::kRead, .offset = 2560, .buffers = this->split(again, {1, 0, 1535})};
  const bool done = this->disk().read_at_once(read);
  if (done) EXPECT_EQ(again, this->before_.substr(2560, 1536));
  if constexpr (TypeParam::kAtHand != AtHand::kNever) {
    if (TypeParam::kAtHand == AtHand::kAlways || tells_what_is_at_hand()) EXPECT_TRUE(done);
  } else {
    EXPECT_FALSE(done);
  }
}

TYPED_TEST(DiskConformance, ReadsAtOnceNothingThatItWouldRefuse) {
  std::string bytes(1024, '\0');
  const auto refused = [&](Op op, std::uint64_t offset, const std::vector<iovec>& buffers,
                           std::uint64_t length = 0) {
    DiskRequest request{.op = op, .offset = offset, .length = length, .buffers = buffers};
    return !this->disk().read_at_once(request);
  };
  EXPECT_TRUE(refused(Op::kRead, kSectors * 512, this->split(bytes, {512})));
  EXPECT_TRUE(refused(Op::kRead, (kSectors - 1) * 512, this->split(bytes, {1024})));
  EXPECT_TRUE(refused(Op::kRead, UINT64_MAX - 511, this->split(bytes, {512})));
  EXPECT_TRUE(refused(Op::kRead, 1, this->split(bytes, {512})));
  EXPECT_TRUE(refused(Op::kRead, 0, this->split(bytes, {100})));
  EXPECT_TRUE(refused(Op::kWrite, 0, this->split(bytes, {512})));
  EXPECT_TRUE(refused(Op::kFlush, 0, {}));
  EXPECT_TRUE(refused(Op::kDiscard, 0, {}, 65536));
  EXPECT_TRUE(refused(Op::kWriteZeroes, 0, {}, 65536));
  EXPECT_EQ(this->stored(), this->before_);
}

TYPED_TEST(DiskConformance, TakesMoreBuffersThanOneSystemCallDoes) {
  constexpr std::size_t kCount = std::size_t{4} * IOV_MAX;
  std::string bytes(kCount * 128, '\0');
  ASSERT_TRUE(this->run(Op::kRead, 0, this->split(bytes, std::vector<std::size_t>(kCount, 128))));
  EXPECT_EQ(bytes, this->before_.substr(0, bytes.size()));
}

TYPED_TEST(DiskConformance, WritesOrRefusesTo) {
  std::string bytes = std::string(512, 'a') + std::string(512, 'b');
  const auto result = this->run(Op::kWrite, 512, this->split(bytes, {300, 724}));
  if (TypeParam::kWritable) {
    ASSERT_TRUE(result);
    EXPECT_EQ(this->stored(), this->before_.substr(0, 512) + bytes + this->before_.substr(1536));
    std::string back(1024, '\0');
    ASSERT_TRUE(this->run(Op::kRead, 512, this->split(back, {1024})));
    EXPECT_EQ(back, bytes);
  } else {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kPermission);
    EXPECT_EQ(this->stored(), this->before_);
  }
}

TYPED_TEST(DiskConformance, Flushes) {
  EXPECT_TRUE(this->run(Op::kFlush, 0));
  std::string bytes(512, '\0');
  EXPECT_FALSE(this->run(Op::kFlush, 0, this->split(bytes, {512})));
}

TYPED_TEST(DiskConformance, WritesZeroesOrRefusesTo) {
  for (const bool may_unmap : {false, true}) {
    const std::uint64_t at = may_unmap ? 512 : 4608;
    const std::uint64_t length = 131072 + 512;
    const std::string before = this->stored();
    const auto result = this->run_range(Op::kWriteZeroes, at, length, may_unmap);
    std::string expected = before;
    if (TypeParam::kWritable) {
      ASSERT_TRUE(result) << result.error().text();
      expected.replace(at, length, length, '\0');
    } else {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().kind(), ErrorKind::kPermission);
    }
    EXPECT_TRUE(this->stored() == expected);
  }
}

TYPED_TEST(DiskConformance, ADiscardTouchesNothingElse) {
  const std::uint64_t at = 512;
  const std::uint64_t length = 65536;
  const auto result = this->run_range(Op::kDiscard, at, length);
  EXPECT_EQ(result.has_value(), TypeParam::kWritable);
  std::string bytes(length, '!');
  ASSERT_TRUE(this->run(Op::kRead, at, this->split(bytes, {length})));
  const std::string old = this->before_.substr(at, length);
  for (std::size_t i = 0; i < length; ++i) {
    ASSERT_TRUE(bytes[i] == old[i] || bytes[i] == '\0') << i;
  }
  EXPECT_TRUE(this->stored().substr(0, at) == this->before_.substr(0, at));
  EXPECT_TRUE(this->stored().substr(at + length) == this->before_.substr(at + length));
  if (!TypeParam::kWritable) EXPECT_TRUE(this->stored() == this->before_);
}

TYPED_TEST(DiskConformance, RangesAreCheckedLikeBuffers) {
  std::string bytes(512, '!');
  for (const Op op : {Op::kDiscard, Op::kWriteZeroes}) {
    EXPECT_FALSE(this->run_range(op, 1, 512));
    EXPECT_FALSE(this->run_range(op, 0, 511));
    EXPECT_FALSE(this->run_range(op, kSectors * 512, 512));
    EXPECT_FALSE(this->run_range(op, 512, kSectors * 512));
    EXPECT_FALSE(this->run_range(op, UINT64_MAX - 511, 1024));
    EXPECT_FALSE(this->run_range(op, 0, UINT64_MAX - 511));
    EXPECT_FALSE(this->run(op, 0, this->split(bytes, {512})));
    EXPECT_EQ(this->run_range(op, 512, 0).has_value(), TypeParam::kWritable);
  }
  EXPECT_FALSE(this->run_range(Op::kFlush, 0, 512));
  EXPECT_FALSE(this->run_range(Op::kRead, 0, 512));
  EXPECT_FALSE(this->run_range(Op::kWrite, 0, 512));
  EXPECT_TRUE(this->stored() == this->before_);
}

TYPED_TEST(DiskConformance, ABatchIsDoneAfterItsCommit) {
  std::vector<std::string> bytes(300, std::string(512, '\0'));
  std::size_t done = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    this->disk().submit(
        {.op = Op::kRead, .offset = i * 512, .buffers = this->split(bytes[i], {512})},
        [&](const DiskRequest&, Result<void> result) {
          EXPECT_TRUE(result);
          ++done;
        });
  }
  this->disk().commit();
  this->disk().drain();
  EXPECT_EQ(done, bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(bytes[i], this->before_.substr(i * 512, 512)) << i;
  }
}

TYPED_TEST(DiskConformance, DrainWaitsForWhatACompletionSubmits) {
  std::string bytes(512, '\0');
  int done = 0;
  std::function<void()> next = [&] {
    this->disk().submit({.op = Op::kRead, .offset = 0, .buffers = this->split(bytes, {512})},
                        [&](const DiskRequest&, const Result<void>&) {
                          if (++done < 5) next();
                        });
  };
  next();
  this->disk().drain();
  EXPECT_EQ(done, 5);
}

TYPED_TEST(DiskConformance, KnowsWhenItsFileHasGrown) {
  EXPECT_TRUE(this->disk().refresh());
  EXPECT_EQ(this->disk().size(), kSectors * 512);
  // An image says its size itself.
  if constexpr (requires { this->rig_.file.path(); } &&
                !std::is_same_v<decltype(this->rig_.file), ImageFile>) {
    std::filesystem::resize_file(this->rig_.file.path(), (kSectors + 8) * 512);
    EXPECT_EQ(this->disk().size(), kSectors * 512);
    EXPECT_TRUE(this->disk().refresh());
    EXPECT_EQ(this->disk().size(), (kSectors + 8) * 512);
    std::string bytes(512, '!');
    ASSERT_TRUE(this->run(Op::kRead, (kSectors + 7) * 512, this->split(bytes, {512})));
    EXPECT_EQ(bytes, std::string(512, '\0'));
  }
}

TYPED_TEST(DiskConformance, NothingAtTheEndIsInside) {
  EXPECT_TRUE(this->run(Op::kRead, kSectors * 512));
  EXPECT_FALSE(this->run(Op::kRead, (kSectors + 1) * 512));
}

TYPED_TEST(DiskConformance, RefusesWhatIsNotInsideOrNotWholeSectors) {
  std::string bytes(4096, '!');
  for (const Op op : {Op::kRead, Op::kWrite}) {
    struct Bad {
      std::uint64_t offset;
      std::size_t length;
    };
    for (const Bad& bad :
         {Bad{kSectors * 512, 512}, Bad{(kSectors - 1) * 512, 1024}, Bad{UINT64_MAX - 511, 512},
          Bad{UINT64_MAX - 511, 1024}, Bad{std::uint64_t{1} << 63, 512}, Bad{1, 512}, Bad{512, 511},
          Bad{0, 1}}) {
      const auto result = this->run(op, bad.offset, this->split(bytes, {bad.length}));
      EXPECT_FALSE(result) << bad.length << " at " << bad.offset;
    }
  }
  EXPECT_EQ(bytes, std::string(4096, '!'));
  EXPECT_EQ(this->stored(), this->before_);
}

TYPED_TEST(DiskConformance, RefusesBuffersWhoseLengthsOverflow) {
  std::string bytes(512, '!');
  EXPECT_FALSE(this->run(
      Op::kRead, 0, {{bytes.data(), SIZE_MAX - 511}, {bytes.data(), 512}, {bytes.data(), 512}}));
  EXPECT_EQ(bytes, std::string(512, '!'));
}

}  // namespace
}  // namespace mote::storage::test

// Layers as disks: what they hold, what they refuse, and stacks of them.
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "storage/overlay/support.h"

namespace mote::storage::overlay::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

void mutate(const Made& made, std::string held, std::uint32_t seed, MapWrites writes) {
  Mutator mutator(seed, std::move(held));
  for (int round = 0; round < 3; ++round) {
    auto disk = made.open(Access::kReadWrite, writes);
    ASSERT_TRUE(disk) << disk.error().text();
    ASSERT_TRUE(read_all(**disk) == mutator.model()) << "round " << round;
    for (int i = 0; i < 80; ++i) ASSERT_TRUE(mutator.step(**disk)) << "step " << i;
    if (round == 1) ASSERT_TRUE(submit_range(**disk, Op::kFlush, 0, 0));
    ASSERT_TRUE(read_all(**disk) == mutator.model()) << "round " << round;
  }
}

struct Shape {
  std::uint64_t base;
  std::uint64_t size;  // 0: the base's
  unsigned bits;
};
class OverlayModel : public ::testing::TestWithParam<Shape> {};

TEST_P(OverlayModel, HoldsWhatWasWritten) {
  const Shape shape = GetParam();
  const std::string base = pattern(shape.base);
  std::string held = base.substr(0, base.size() / 512 * 512);
  if (shape.size != 0) held.resize(shape.size);
  for (const MapWrites writes : {MapWrites::kThrough, MapWrites::kOnFlush}) {
    const Made made(base, shape.size, shape.bits);
    mutate(made, held, 1, writes);
    EXPECT_TRUE(read_file(made.base) == base);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, OverlayModel,
                         ::testing::Values(Shape{4 * kMiB, 0, 12}, Shape{4 * kMiB, 0, 16},
                                           Shape{2 * kMiB, 5 * kMiB, 12},
                                           Shape{2 * kMiB + 700, 3 * kMiB + 512, 14},
                                           Shape{512, 3 * kMiB, 16},
                                           // More than one page of the map.
                                           Shape{4 * kMiB, 300 * kMiB, 12}));

TEST(Overlay, LiesOnNothingToo) {
  const Place place;
  ASSERT_TRUE(create_layer(place / "top", {}, kMiB));
  auto disk = OverlayDisk::open(place / "top", {});
  ASSERT_TRUE(disk) << disk.error().text();
  EXPECT_TRUE(read_all(**disk) == std::string(kMiB, '\0'));
  EXPECT_FALSE(create_layer(place / "none", {}));
  EXPECT_FALSE(std::filesystem::exists(place / "none"));
}

// What a snapshot of such a disk lies on is a layer, and no image.
TEST(Overlay, FreezesOnNothingToo) {
  for (const Engine engine : {Engine::kSync, Engine::kUring}) {
    const Place place;
    const auto loop = std::move(*EventLoop::create());
    const std::vector<std::string> below{place / "sealed"};
    ASSERT_TRUE(create_layer(place / "top", {}, kMiB));
    Mutator mutator(3, std::string(kMiB, '\0'));
    auto disk = OverlayDisk::open(place / "top", {.engine = engine}, loop.get());
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(mutator.step(**disk));
    const std::string moment = mutator.model();
    ASSERT_TRUE((*disk)->freeze(below.front()));
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(mutator.step(**disk));
    disk->reset();
    disk = OverlayDisk::open(place / "top", {.below = below, .engine = engine}, loop.get());
    ASSERT_TRUE(disk) << disk.error().text();
    EXPECT_TRUE(read_all(**disk) == mutator.model());
    ASSERT_TRUE(create_layer(place / "clone", below));
    const auto clone =
        OverlayDisk::open(place / "clone", {.below = below, .engine = engine}, loop.get());
    ASSERT_TRUE(clone) << clone.error().text();
    EXPECT_TRUE(read_all(**clone) == moment);
  }
}

TEST(Overlay, TakesNoRoomForWhatWasNotWritten) {
  const Made made(pattern(64 * kMiB));
  struct stat facts{};
  ASSERT_EQ(::stat(made.top.c_str(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 64 << 10);
  auto disk = made.open();
  std::string bytes(kMiB, 'x');
  ASSERT_TRUE(submit(**disk, Op::kWrite, 7 * kMiB, bytes));
  ASSERT_EQ(::stat(made.top.c_str(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 1200 << 10);
  ASSERT_TRUE(submit_range(**disk, Op::kDiscard, 7 * kMiB, kMiB));
  ASSERT_EQ(::stat(made.top.c_str(), &facts), 0);
  EXPECT_LT(facts.st_blocks * 512, 128 << 10) << "what is discarded is given back";
  std::string now(4096, '?');
  ASSERT_TRUE(submit(**disk, Op::kRead, 7 * kMiB, now));
  EXPECT_EQ(now, std::string(4096, '\0')) << "and is not what the base has there";
}

TEST(Overlay, AThousandLayersAreMadeInNoTime) {
  const Made made(pattern(64 * kMiB));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(create_layer(made.place / fmt::format("layer{}", i), made.below));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  // A sanitizer makes it slower; what counts is that nothing is written of 64 GiB.
  EXPECT_LT(took.count(), 10);
  RecordProperty("seconds", fmt::format("{:.3f}", took.count()));
}

TEST(Overlay, IsWrittenByOneAtATime) {
  const Made made(pattern(kMiB));
  auto first = made.open();
  ASSERT_TRUE(first);
  for (const Access access : {Access::kReadWrite, Access::kReadOnly}) {
    const auto second = made.open(access);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind(), ErrorKind::kState) << second.error().text();
  }
  first->reset();
  auto reader = made.open(Access::kReadOnly);
  EXPECT_TRUE(reader);
  EXPECT_TRUE(made.open(Access::kReadOnly));
  EXPECT_FALSE(made.open());
}

std::string refusal(const std::string& path, const std::vector<std::string>& below) {
  const auto disk = OverlayDisk::open(path, {.below = below});
  return disk ? "" : disk.error().text();
}

TEST(Overlay, IsRefusedOnAnythingElse) {
  const Made made(pattern(kMiB));
  const auto refused = [&](const std::vector<std::string>& below, const std::string& why) {
    const std::string text = refusal(made.top, below);
    EXPECT_NE(text.find(why), std::string::npos) << text;
  };
  refused({}, "given nothing");
  write_file(made.place / "other", pattern(kMiB, 1));
  refused({made.place / "other"}, "another image");
  write_file(made.place / "larger", pattern(kMiB + 512));
  refused({made.place / "larger"}, "another image");
  write_file(made.place / "copy", pattern(kMiB));
  EXPECT_EQ(refusal(made.top, {made.place / "copy"}), "") << "another name is no other image";
  refused({made.base, made.base}, "no layer");
  refused({made.top}, "given nothing to lie on");
  refused({made.place / "gone"}, "gone");
  refused({made.place / ""}, "directory");
  EXPECT_NE(refusal(made.base, {made.base}).find("no layer"), std::string::npos);
  EXPECT_NE(refusal("/dev/null", {made.base}).find("/dev/null"), std::string::npos);
  ASSERT_TRUE(create_layer(made.place / "sibling", made.below));
  refused({made.base, made.place / "sibling"}, "not sealed");
  std::vector<std::string> many(kMostBelow + 1, made.base);
  refused(many, "the most");
  // It was changed since, as a file system that was mounted is.
  std::string changed = pattern(kMiB);
  changed[1100] ^= 1;
  write_file(made.base, changed);
  refused({made.base}, "changed since");
}

TEST(Overlay, IsNotMadeOnAnotherFormat) {
  const Place place;
  write_file(place / "base.qcow2", "QFI\xfb" + pattern(kMiB));
  const auto made = create_layer(place / "top", {place / "base.qcow2"});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().text().find("base.qcow2\": it is a qcow2 image"), std::string::npos)
      << made.error().text();
  EXPECT_FALSE(std::filesystem::exists(place / "top"));
  // A layer that lies on something is not the lowest, and one that is still written is none to lie
  // on.
  const Made other(pattern(kMiB));
  EXPECT_FALSE(create_layer(place / "top", {other.top}));
  ASSERT_TRUE(create_layer(place / "alone", {}, kMiB));
  const auto on_alone = create_layer(place / "top", {place / "alone"});
  ASSERT_FALSE(on_alone);
  EXPECT_NE(on_alone.error().text().find("not sealed"), std::string::npos);
}

TEST(Overlay, FreezesAndGoesOn) {
  for (const MapWrites writes : {MapWrites::kThrough, MapWrites::kOnFlush}) {
    for (const Engine engine : {Engine::kSync, Engine::kUring}) {
      Made made(pattern(2 * kMiB));
      const auto loop = std::move(*EventLoop::create());
      Mutator mutator(5, pattern(2 * kMiB));
      auto disk = OverlayDisk::open(
          made.top, {.below = made.below, .map_writes = writes, .engine = engine}, loop.get());
      ASSERT_TRUE(disk) << disk.error().text();
      std::vector<std::string> moments;
      for (int layer = 0; layer < 5; ++layer) {
        for (int i = 0; i < 30; ++i) ASSERT_TRUE(mutator.step(**disk));
        moments.push_back(mutator.model());
        const std::string sealed = made.place / fmt::format("sealed{}", layer);
        const auto frozen = (*disk)->freeze(sealed);
        ASSERT_TRUE(frozen) << frozen.error().text();
        made.below.push_back(sealed);
      }
      for (int i = 0; i < 30; ++i) ASSERT_TRUE(mutator.step(**disk));
      EXPECT_TRUE(read_all(**disk) == mutator.model());
      // A clone of each moment, while the first one runs.
      for (std::size_t i = 0; i < moments.size(); ++i) {
        const std::vector<std::string> below(made.below.begin(),
                                             made.below.begin() + static_cast<long>(i) + 2);
        const std::string path = made.place / fmt::format("clone{}", i);
        ASSERT_TRUE(create_layer(path, below));
        auto clone = OverlayDisk::open(path, {.below = below});
        ASSERT_TRUE(clone) << clone.error().text();
        EXPECT_TRUE(read_all(**clone) == moments[i]) << i;
        std::string bytes(512, 'c');
        ASSERT_TRUE(submit(**clone, Op::kWrite, 512 * i, bytes));
      }
      EXPECT_TRUE(read_all(**disk) == mutator.model());
      disk->reset();
      disk = made.open();
      ASSERT_TRUE(disk) << disk.error().text();
      EXPECT_TRUE(read_all(**disk) == mutator.model());
    }
  }
}

// Without it, what lies on the base would be smaller than the disk was.
TEST(Overlay, ALayerThatMakesItsDiskLargerIsSealedThoughNothingIsWritten) {
  Made made(pattern(kMiB));
  ASSERT_TRUE(create_layer(made.place / "larger", made.below, 2 * kMiB));
  auto disk = OverlayDisk::open(made.place / "larger", {.below = made.below});
  ASSERT_TRUE(disk) << disk.error().text();
  const std::string sealed = made.place / "sealed";
  EXPECT_EQ((*disk)->freeze(sealed), true);
  EXPECT_EQ((*disk)->freeze(made.place / "another"), false);
  ASSERT_TRUE(create_layer(made.place / "clone", {made.below.front(), sealed}));
  auto clone = OverlayDisk::open(made.place / "clone", {.below = {made.below.front(), sealed}});
  ASSERT_TRUE(clone) << clone.error().text();
  EXPECT_EQ((*clone)->size(), 2 * kMiB);
  EXPECT_EQ((*clone)->lies_on(), (*disk)->lies_on());
}

TEST(Overlay, SaysWhatItLiesOn) {
  Made made(pattern(kMiB));
  const auto of = [&](const std::string& path, const std::vector<std::string>& below) {
    const auto disk = OverlayDisk::open(path, {.below = below, .access = Access::kReadOnly});
    EXPECT_TRUE(disk) << disk.error().text();
    return disk ? (*disk)->lies_on() : "";
  };
  const std::string before = of(made.top, made.below);
  ASSERT_TRUE(create_layer(made.place / "clone", made.below));
  EXPECT_EQ(of(made.place / "clone", made.below), before) << "also when it was made later";
  std::filesystem::copy_file(made.below.front(), made.place / "copy");
  ASSERT_TRUE(create_layer(made.place / "elsewhere", {made.place / "copy"}));
  EXPECT_EQ(of(made.place / "elsewhere", {made.place / "copy"}), before);
  write_file(made.place / "other", std::string(kMiB, 'o'));
  ASSERT_TRUE(create_layer(made.place / "on_other", {made.place / "other"}));
  EXPECT_NE(of(made.place / "on_other", {made.place / "other"}), before);
  ASSERT_TRUE(create_layer(made.place / "on_nothing", {}, kMiB));
  EXPECT_NE(of(made.place / "on_nothing", {}), before);
}

TEST(Overlay, AFreezeThatFailsChangesNothing) {
  Made made(pattern(kMiB));
  auto disk = made.open();
  Mutator mutator(7, pattern(kMiB));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(mutator.step(**disk));
  write_file(made.place / "taken", "t");
  EXPECT_FALSE((*disk)->freeze(made.place / "taken"));
  EXPECT_FALSE((*disk)->freeze(made.place / "gone/sealed"));
  EXPECT_EQ(read_file(made.place / "taken"), "t");
  EXPECT_FALSE(std::filesystem::exists(made.top + ".new"));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(mutator.step(**disk));
  disk->reset();
  disk = made.open();
  ASSERT_TRUE(disk) << disk.error().text();
  EXPECT_TRUE(read_all(**disk) == mutator.model());
  ASSERT_TRUE((*disk)->freeze(made.place / "sealed"));
  disk->reset();
  EXPECT_NE(refusal(made.place / "sealed", made.below).find("sealed"), std::string::npos);
  auto reader =
      OverlayDisk::open(made.place / "sealed", {.below = made.below, .access = Access::kReadOnly});
  ASSERT_TRUE(reader);
  EXPECT_TRUE(read_all(**reader) == mutator.model());
}

// Requests all over the disk at once: parts of the base, of layers and of the one that is written.
TEST(Overlay, ManyAtOnce) {
  Made made(pattern(4 * kMiB));
  const auto loop = std::move(*EventLoop::create());
  auto disk = OverlayDisk::open(
      made.top, {.below = made.below, .map_writes = MapWrites::kOnFlush, .engine = Engine::kUring},
      loop.get());
  ASSERT_TRUE(disk) << disk.error().text();
  std::string model = pattern(4 * kMiB);
  std::mt19937 random(31);
  for (int round = 0; round < 60; ++round) {
    if (round == 30) {
      ASSERT_TRUE((*disk)->freeze(made.place / "sealed"));
      made.below.push_back(made.place / "sealed");
    }
    std::vector<std::string> data(16);
    std::vector<std::string> expected(16);
    int done = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const std::uint64_t part = model.size() / data.size();
      const std::uint64_t offset = i * part + random() % 256 * kSectorSize;
      const std::uint64_t length = (1 + random() % 64) * kSectorSize;
      const auto finished = [&done](const DiskRequest& request, const Result<void>& result) {
        EXPECT_TRUE(result) << result.error().text();
        EXPECT_LT(request.offset, 4 * kMiB);
        ++done;
      };
      const unsigned what = random() % 8;
      if (what == 0) {
        model.replace(offset, length, length, '\0');
        (*disk)->submit({.op = Op::kWriteZeroes, .offset = offset, .length = length, .buffers = {}},
                        finished);
      } else if (what == 1) {
        (*disk)->submit({.op = Op::kFlush, .buffers = {}}, finished);
      } else if (what < 4) {
        data[i] = std::string(length, '?');
        expected[i] = model.substr(offset, length);
        (*disk)->submit({.op = Op::kRead,
                         .offset = offset,
                         .buffers = {{data[i].data(), 100}, {data[i].data() + 100, length - 100}}},
                        finished);
      } else {
        data[i] = std::string(length, static_cast<char>(random()));
        model.replace(offset, length, data[i]);
        (*disk)->submit({.op = Op::kWrite, .offset = offset, .buffers = {{data[i].data(), length}}},
                        finished);
      }
    }
    (*disk)->commit();
    (*disk)->drain();
    ASSERT_EQ(done, 16);
    for (std::size_t i = 0; i < data.size(); ++i) {
      if (!expected[i].empty()) ASSERT_TRUE(data[i] == expected[i]) << round << " " << i;
    }
  }
  EXPECT_TRUE(read_all(**disk) == model);
  disk->reset();
  disk = made.open();
  ASSERT_TRUE(disk) << disk.error().text();
  EXPECT_TRUE(read_all(**disk) == model);
}

TEST(Overlay, AnErrorOfTheHostIsTheRequests) {
  const Made made(pattern(kMiB));
  auto disk = made.open();
  std::filesystem::resize_file(made.base, kMiB / 2);
  std::string bytes(4096, '?');
  EXPECT_FALSE(submit(**disk, Op::kRead, kMiB - 4096, bytes)) << "the image was cut off";
  EXPECT_TRUE(submit(**disk, Op::kRead, 0, bytes));
}

}  // namespace
}  // namespace mote::storage::overlay::test

// What is left when the host loses its power at any moment, or when the storage fails a flush:
// what was flushed, and of the rest, sector by sector, what was there before or what was written
// since.
#include <set>

#include "storage/overlay/support.h"

namespace mote::storage::overlay::test {
namespace {

constexpr std::uint64_t kSectors = 512;

class ImageInMemory final : public ImageFile {
 public:
  explicit ImageInMemory(const std::string& bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read(std::span<iovec> buffers, std::uint64_t offset) override {
    for (const iovec& buffer : buffers) {
      const std::string part =
          bytes_.substr(std::min<std::size_t>(offset, bytes_.size()), buffer.iov_len);
      std::memcpy(buffer.iov_base, part.data(), part.size());
      offset += buffer.iov_len;
    }
    return {};
  }
  Result<void> write(std::span<iovec>, std::uint64_t) override {
    return fail(ErrorKind::kPermission, "an image is not written");
  }
  Result<void> sync() override { return {}; }
  Result<void> grow(std::uint64_t) override { return write({}, 0); }
  bool punch(std::uint64_t, std::uint64_t) override { return false; }

 private:
  const std::string& bytes_;
};

class OverlayLoss : public ::testing::TestWithParam<unsigned> {
 protected:
  OverlayLoss() {
    auto stack = Stack::on(std::make_unique<ImageInMemory>(base_));
    FragileFile file(contents_);
    EXPECT_TRUE(Layer::create(file, base_.size(), GetParam(), stack->identity()));
    EXPECT_TRUE(file.sync());
    for (std::uint64_t sector = 0; sector < kSectors; ++sector) {
      allowed_.push_back({base_.substr(sector * 512, 512)});
    }
  }
  void open() {
    auto stack = Stack::on(std::make_unique<ImageInMemory>(base_));
    auto file = std::make_unique<FragileFile>(contents_);
    file_ = file.get();
    auto layer = Layer::open(std::move(file), Access::kReadWrite, MapWrites::kOnFlush);
    ASSERT_TRUE(layer) << layer.error().text();
    ASSERT_TRUE(stack->push(std::move(*layer)));
    disk_ = std::make_unique<OverlayDisk>(std::move(*stack), Access::kReadWrite, "");
  }
  std::uint64_t pick(std::uint64_t most) { return random_() % most; }

  void change() {
    const std::uint64_t first = pick(kSectors);
    const std::uint64_t count = 1 + pick(std::min<std::uint64_t>(kSectors - first, 40));
    const std::uint64_t what = pick(10);
    std::string bytes;
    if (what < 8) {
      for (std::uint64_t i = 0; i < count; ++i) {
        bytes += fmt::format("{:>512}", fmt::format("{} {}", ++writes_, first + i));
      }
      ASSERT_TRUE(submit(*disk_, Op::kWrite, first * 512, bytes));
    } else {
      bytes = std::string(count * 512, '\0');
      const Op op = what == 8 ? Op::kWriteZeroes : Op::kDiscard;
      ASSERT_TRUE(submit_range(*disk_, op, first * 512, bytes.size()));
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      allowed_[first + i].insert(bytes.substr(i * 512, 512));
    }
  }
  // What is there now is what a flush keeps.
  void settle() {
    const std::string now = read_all(*disk_);
    for (std::uint64_t sector = 0; sector < kSectors; ++sector) {
      const std::string bytes = now.substr(sector * 512, 512);
      ASSERT_TRUE(allowed_[sector].contains(bytes)) << sector;
      allowed_[sector] = {bytes};
    }
  }
  void lose_power() {
    disk_.reset();
    const std::uint64_t kept = pick(4);  // none, some, most, all
    contents_.lose_power([&] { return kept == 3 || (kept != 0 && pick(kept == 1 ? 2 : 8) != 0); });
    open();
    settle();
  }

  const std::string base_ = pattern(kSectors * 512);
  FragileFile::Contents contents_;
  FragileFile* file_ = nullptr;
  std::unique_ptr<OverlayDisk> disk_;
  std::vector<std::set<std::string>> allowed_;
  std::mt19937 random_{GetParam()};
  std::uint64_t writes_ = 0;
};

TEST_P(OverlayLoss, OfPowerAtAnyMoment) {
  open();
  for (int round = 0; round < 150 && !HasFatalFailure(); ++round) {
    for (std::uint64_t i = pick(12); i > 0; --i) {
      change();
      if (pick(5) == 0) {
        ASSERT_TRUE(disk_->size() > 0 && submit_range(*disk_, Op::kFlush, 0, 0));
        settle();
      }
    }
    lose_power();
  }
}

TEST_P(OverlayLoss, OfPowerAfterFlushesThatFailed) {
  open();
  for (int round = 0; round < 100 && !HasFatalFailure(); ++round) {
    for (std::uint64_t i = pick(8); i > 0; --i) {
      change();
      const std::uint64_t what = pick(3);
      file_->fail_syncs = what == 0 ? 1 : 0;
      if (what == 2) continue;
      const bool flushed = submit_range(*disk_, Op::kFlush, 0, 0).has_value();
      EXPECT_EQ(flushed, what == 1);
      if (flushed) settle();
    }
    lose_power();
  }
}

INSTANTIATE_TEST_SUITE_P(Clusters, OverlayLoss, ::testing::Values(12U, 14U, 16U));

}  // namespace
}  // namespace mote::storage::overlay::test

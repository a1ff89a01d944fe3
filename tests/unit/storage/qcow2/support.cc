#include "storage/qcow2/support.h"

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace mote::storage::qcow2::test {

Place::Place() {
  std::string name = ::testing::TempDir() + "mote-qcow2-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  path_ = name;
}

// Header, refcount table of one cluster, one refcount block, L1 table.
std::string empty_image(const Shape& shape) {
  const std::uint64_t cluster = std::uint64_t{1} << shape.cluster_bits;
  const std::uint64_t l1_entries = divide_up(divide_up(shape.size, cluster), cluster / kEntrySize);
  const std::uint64_t l1_clusters = divide_up(l1_entries * kEntrySize, cluster);
  const std::uint64_t used = 3 + l1_clusters;
  std::string bytes(used * cluster, '\0');
  const std::span<std::byte> image(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
  store<std::uint32_t>(image, 0, kMagic);
  store<std::uint32_t>(image, 4, shape.version);
  store<std::uint32_t>(image, 20, shape.cluster_bits);
  store<std::uint64_t>(image, 24, shape.size);
  store<std::uint32_t>(image, 36, static_cast<std::uint32_t>(l1_entries));
  store<std::uint64_t>(image, 40, 3 * cluster);
  store<std::uint64_t>(image, 48, cluster);
  store<std::uint32_t>(image, 56, 1);
  if (shape.version == 3) {
    store<std::uint32_t>(image, 96, shape.refcount_order);
    store<std::uint32_t>(image, 100, 104);
  }
  store<std::uint64_t>(image, cluster, 2 * cluster);
  for (std::uint64_t i = 0; i < used; ++i) {
    const std::uint64_t bit = i << shape.refcount_order;
    // The lowest bit of each: at the end of one that has bytes, in place in one that shares a byte.
    const std::uint64_t byte =
        shape.refcount_order < 3 ? bit / 8 : bit / 8 + (1U << (shape.refcount_order - 3)) - 1;
    image[2 * cluster + byte] |= static_cast<std::byte>(1U << bit % 8);
  }
  return bytes;
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string read_file(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  std::array<char, 4096> buffer{};
  while (const std::size_t got = ::fread(buffer.data(), 1, buffer.size(), pipe)) {
    outcome.output.append(buffer.data(), got);
  }
  outcome.status = WEXITSTATUS(::pclose(pipe));
  return outcome;
}

void must_run(const std::string& command) {
  const Outcome outcome = run(command);
  ASSERT_EQ(outcome.status, 0) << command << "\n" << outcome.output;
}

bool have_qemu() {
  static const bool have = run("qemu-img --version && qemu-io --version").status == 0;
  return have;
}

Findings check(const std::string& path) {
  const Outcome outcome = run("qemu-img check -f qcow2 " + path);
  // 2: errors; 3: leaks; 1: it could not be checked.
  return {.errors = outcome.status == 1 || outcome.status == 2,
          .leaks = outcome.status == 3,
          .output = outcome.output};
}

namespace {

Result<void> finish(Disk& disk, DiskRequest request) {
  std::optional<Result<void>> outcome;
  disk.submit(std::move(request),
              [&](const DiskRequest&, Result<void> result) { outcome = std::move(result); });
  disk.drain();
  return outcome.value_or(fail(ErrorKind::kInternal, "not completed"));
}

}  // namespace

Result<void> submit(Disk& disk, Op op, std::uint64_t offset, std::string& bytes) {
  // In three buffers, where there is enough.
  std::vector<iovec> buffers;
  const std::size_t third = bytes.size() / 3;
  buffers.push_back({bytes.data(), third});
  buffers.push_back({bytes.data() + third, third});
  buffers.push_back({bytes.data() + 2 * third, bytes.size() - 2 * third});
  return finish(disk, {.op = op, .offset = offset, .buffers = std::move(buffers)});
}

Result<void> submit_range(Disk& disk, Op op, std::uint64_t offset, std::uint64_t length,
                          bool may_unmap) {
  return finish(
      disk, {.op = op, .offset = offset, .length = length, .may_unmap = may_unmap, .buffers = {}});
}

std::string read_all(Disk& disk) {
  std::string bytes(disk.size(), '?');
  const auto result = submit(disk, Op::kRead, 0, bytes);
  EXPECT_TRUE(result) << result.error().text();
  return bytes;
}

void Mutator::choose(const Disk& disk) {
  const std::uint64_t sectors = disk.size() / kSectorSize;
  // Half of the work in one corner, so that it meets itself.
  const std::uint64_t within = pick(0, 1) == 0 ? sectors : std::min<std::uint64_t>(sectors, 512);
  const std::uint64_t first = pick(0, within - 1);
  const std::uint64_t most = pick(0, 7) == 0 ? 2048 : 24;
  length_ = pick(1, std::min(most, sectors - first)) * kSectorSize;
  offset_ = first * kSectorSize;
}

std::string Mutator::noise() {
  std::string bytes(length_, '\0');
  for (std::size_t at = 0; at < length_; at += sizeof(std::uint32_t)) {
    const std::uint32_t word = random_();
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
  return bytes;
}

bool Mutator::read_and_compare(Disk& disk) {
  std::string now(length_, '?');
  if (!submit(disk, Op::kRead, offset_, now)) return false;
  EXPECT_TRUE(now == model_.substr(offset_, length_)) << length_ << " at " << offset_;
  return true;
}

// A discarded sector holds what it did, or zeros.
bool Mutator::discard_and_compare(Disk& disk) {
  if (!submit_range(disk, Op::kDiscard, offset_, length_)) return false;
  std::string now(length_, '?');
  if (!submit(disk, Op::kRead, offset_, now)) return false;
  for (std::uint64_t at = 0; at < length_; at += kSectorSize) {
    const std::string sector = now.substr(at, kSectorSize);
    if (sector == std::string(kSectorSize, '\0')) continue;
    EXPECT_TRUE(sector == model_.substr(offset_ + at, kSectorSize)) << offset_ + at;
  }
  model_.replace(offset_, length_, now);
  return true;
}

bool Mutator::step(Disk& disk) {
  choose(disk);
  switch (pick(0, 9)) {
    case 0:
      return read_and_compare(disk);
    case 1:
      model_.replace(offset_, length_, length_, '\0');
      return submit_range(disk, Op::kWriteZeroes, offset_, length_, pick(0, 1) == 0).has_value();
    case 2:
      return discard_and_compare(disk);
    default: {
      std::string bytes = noise();
      model_.replace(offset_, length_, bytes);
      return submit(disk, Op::kWrite, offset_, bytes).has_value();
    }
  }
}

void Mutator::poke(Disk& disk) {
  if (disk.size() == 0) return;
  choose(disk);
  std::string bytes = noise();
  switch (pick(0, 4)) {
    case 0:
      static_cast<void>(submit(disk, Op::kRead, offset_, bytes));
      break;
    case 1:
      static_cast<void>(submit_range(disk, Op::kWriteZeroes, offset_, length_, pick(0, 1) == 0));
      break;
    case 2:
      static_cast<void>(submit_range(disk, Op::kDiscard, offset_, length_));
      break;
    default:
      static_cast<void>(submit(disk, Op::kWrite, offset_, bytes));
      break;
  }
}

}  // namespace mote::storage::qcow2::test

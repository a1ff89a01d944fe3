// The header of a state file and its checksum, against files of every length and with every byte
// changed.
#include "snapshot/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "temp_dir.h"

namespace mote::snapshot {
namespace {

std::vector<std::byte> body() {
  std::vector<std::byte> bytes(300);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  return bytes;
}

Header header() {
  Header header{.maker = "mote-vmm 1.2.3", .created = 1'700'000'000};
  header.id.fill(std::byte{0xab});
  return header;
}

std::string error_of(std::span<const std::byte> bytes) {
  const auto file = read_state_file(bytes);
  return file ? "" : file.error().text();
}

TEST(StateFile, ComesBackAsItWas) {
  const std::vector<std::byte> bytes = make_state_file(header(), body());
  EXPECT_EQ(bytes.size(), kHeaderSize + 300);
  const auto file = read_state_file(bytes);
  ASSERT_TRUE(file) << file.error().text();
  EXPECT_EQ(file->header.maker, "mote-vmm 1.2.3");
  EXPECT_EQ(file->header.created, 1'700'000'000U);
  EXPECT_EQ(file->header.id, header().id);
  EXPECT_EQ(file->header.architecture, kArchitectureX86_64);
  EXPECT_TRUE(std::ranges::equal(file->body, body()));
  EXPECT_EQ(version_text(file->header.major, file->header.minor), "1.0.0");
}

TEST(StateFile, AMakerThatIsTooLongIsCut) {
  Header wordy = header();
  wordy.maker = std::string(100, 'm');
  EXPECT_EQ(read_header(make_state_file(wordy, body()))->maker, std::string(kMaxMaker, 'm'));
}

TEST(StateFile, IsRefusedAtEveryOtherLength) {
  std::vector<std::byte> bytes = make_state_file(header(), body());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<long>(length));
    EXPECT_NE(error_of(cut), "") << length;
  }
  bytes.push_back(std::byte{0});
  EXPECT_NE(error_of(bytes), "");
}

TEST(StateFile, IsRefusedWithAnyByteChanged) {
  const std::vector<std::byte> bytes = make_state_file(header(), body());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> bad = bytes;
      bad[at] ^= static_cast<std::byte>(1 << bit);
      EXPECT_NE(error_of(bad), "") << at;
    }
  }
}

// A header with a right checksum may say anything.
TEST(StateFile, OfAnotherFormatOrArchitectureSaysSo) {
  Header other = header();
  other.major = 2;
  EXPECT_NE(error_of(make_state_file(other, body())).find("format 2.0.0"), std::string::npos);
  EXPECT_EQ(read_header(make_state_file(other, body()))->major, 2U) << "the header is readable";
  other = header();
  other.minor = 9;
  EXPECT_EQ(error_of(make_state_file(other, body())), "") << "what is added is no obstacle";
  other = header();
  other.architecture = kArchitectureAarch64;
  EXPECT_NE(error_of(make_state_file(other, body())).find("aarch64"), std::string::npos);
  other.architecture = 4711;
  EXPECT_NE(error_of(make_state_file(other, body())).find("architecture 4711"), std::string::npos);
}

TEST(StateFile, OfFirecrackersIsRefusedByName) {
  for (const std::uint32_t lower : {0x8664'0000U, 0xaaaa'0000U}) {
    const std::uint64_t magic = 0x0710'1984'0000'0000 | lower;
    std::vector<std::byte> bytes(200);
    std::memcpy(bytes.data(), &magic, sizeof magic);
    const std::string error = error_of(bytes);
    EXPECT_NE(error.find("Firecracker"), std::string::npos) << error;
    EXPECT_NE(error_of(std::span(bytes).first(8)).find("Firecracker"), std::string::npos);
  }
}

TEST(StateFile, IsARegularFileOfABoundedSize) {
  const test::TempDir dir;
  EXPECT_EQ(*read_bytes_of(dir.write("f", "abc")), "abc");
  EXPECT_FALSE(read_bytes_of(dir / "none"));
  EXPECT_FALSE(read_bytes_of(dir.path()));
  EXPECT_FALSE(read_bytes_of(""));
  EXPECT_FALSE(read_bytes_of(std::string("a\0b", 3)));
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_bytes_of(dir / "fifo"));
  EXPECT_FALSE(read_bytes_of("/dev/zero"));
  std::filesystem::resize_file(dir.write("large", ""), kMaxStateFile + 1);
  EXPECT_FALSE(read_bytes_of(dir / "large"));
}

}  // namespace
}  // namespace mote::snapshot

// What a header may say, and what is said of one that may not be.
#include "storage/qcow2/header.h"

#include <gtest/gtest.h>

#include "storage/qcow2/support.h"

namespace mote::storage::qcow2::test {
namespace {

constexpr std::uint64_t kCluster = 4096;

// An image's bytes, to be changed.
struct Bytes {
  explicit Bytes(const Shape& shape = {.cluster_bits = 12}) : text(empty_image(shape)) {}
  template <typename T>
  Bytes& set(std::size_t offset, T value) {
    store<T>(std::span(reinterpret_cast<std::byte*>(text.data()), text.size()), offset, value);
    return *this;
  }
  Bytes& put(std::size_t offset, const std::string& bytes) {
    text.replace(offset, bytes.size(), bytes);
    return *this;
  }
  Result<Header> parse() const {
    return parse_header(std::as_bytes(std::span(text)).first(std::min(text.size(), kCluster)),
                        text.size());
  }
  std::string text;
};

void expect_refused(const Bytes& bytes, ErrorKind kind, const std::string& complaint) {
  const auto header = bytes.parse();
  ASSERT_FALSE(header) << complaint;
  EXPECT_EQ(header.error().kind(), kind) << header.error().text();
  EXPECT_NE(header.error().text().find(complaint), std::string::npos) << header.error().text();
}

TEST(Qcow2Header, SaysWhatTheImageIs) {
  const auto header = Bytes({.size = 5 << 20, .cluster_bits = 12, .refcount_order = 3}).parse();
  ASSERT_TRUE(header) << header.error().text();
  EXPECT_EQ(header->version, 3U);
  EXPECT_EQ(header->size, 5U << 20);
  EXPECT_EQ(header->cluster_size(), kCluster);
  EXPECT_EQ(header->refcount_order, 3U);
  EXPECT_EQ(header->l1_entries, 3U);
  EXPECT_FALSE(header->backing_file);
}

TEST(Qcow2Header, Version2HasRefcountsOf16Bits) {
  // Where version 3 has its fields, version 2 has extensions.
  auto bytes = Bytes({.version = 2, .cluster_bits = 12});
  bytes.set<std::uint32_t>(72, 0xe2792aca).set<std::uint32_t>(76, 3).put(80, "raw");
  const auto header = bytes.parse();
  ASSERT_TRUE(header);
  EXPECT_EQ(header->refcount_order, 4U);
  EXPECT_EQ(header->incompatible, 0U);
  EXPECT_EQ(header->backing_format, "raw");
}

TEST(Qcow2Header, NamesTheBackingFile) {
  auto bytes = Bytes();
  bytes.set<std::uint64_t>(8, 512).set<std::uint32_t>(16, 8).put(512, "base.img");
  bytes.set<std::uint32_t>(104, 0x12345678).set<std::uint32_t>(108, 5);  // unknown: passed over
  bytes.set<std::uint32_t>(120, 0xe2792aca).set<std::uint32_t>(124, 5).put(128, "qcow2");
  const auto header = bytes.parse();
  ASSERT_TRUE(header) << header.error().text();
  EXPECT_EQ(header->backing_file, "base.img");
  EXPECT_EQ(header->backing_format, "qcow2");
}

TEST(Qcow2Header, RefusesByName) {
  const auto bit = [](unsigned number) {
    return Bytes().set<std::uint64_t>(72, std::uint64_t{1} << number);
  };
  expect_refused(bit(kExternalDataBit), ErrorKind::kUnsupported, "external data file");
  expect_refused(bit(kExtendedL2Bit), ErrorKind::kUnsupported, "extended L2");
  expect_refused(bit(5), ErrorKind::kUnsupported, "bit 5");
  expect_refused(bit(63), ErrorKind::kUnsupported, "bit 63");
  expect_refused(bit(kCompressionTypeBit), ErrorKind::kInvalid, "compression type");
  expect_refused(Bytes().set<std::uint32_t>(4, 1), ErrorKind::kUnsupported, "version 1");
  expect_refused(Bytes().set<std::uint32_t>(4, 4), ErrorKind::kUnsupported, "version 4");
  expect_refused(Bytes().set<std::uint32_t>(32, 1), ErrorKind::kUnsupported, "AES");
  expect_refused(Bytes().set<std::uint32_t>(32, 2), ErrorKind::kUnsupported, "LUKS");
  expect_refused(Bytes().set<std::uint32_t>(104, 0x44415441), ErrorKind::kUnsupported,
                 "external data file");
}

TEST(Qcow2Header, KnowsTwoCompressions) {
  const auto type = [](std::uint8_t value) {
    Bytes bytes;
    bytes.set<std::uint64_t>(72, std::uint64_t{1} << kCompressionTypeBit);
    return bytes.set<std::uint32_t>(100, 112).set<std::uint8_t>(104, value);
  };
  EXPECT_TRUE(Bytes().set<std::uint32_t>(100, 112).parse());
  expect_refused(type(0), ErrorKind::kInvalid, "compression type");
  const auto zstd = type(1).parse();
  ASSERT_TRUE(zstd) << zstd.error().text();
  EXPECT_TRUE(zstd->zstd);
  EXPECT_FALSE(Bytes().set<std::uint32_t>(100, 112).parse()->zstd);
  expect_refused(type(2), ErrorKind::kUnsupported, "compression type 2");
}

TEST(Qcow2Header, RefusesWhatCannotBe) {
  const auto refused = [](const Bytes& bytes, const std::string& complaint) {
    expect_refused(bytes, ErrorKind::kInvalid, complaint);
  };
  using U32 = std::uint32_t;
  using U64 = std::uint64_t;
  refused(Bytes().put(0, "QED\xfb"), "no qcow2 image");
  for (const U32 bits : {0U, 8U, 22U, 64U, ~0U}) refused(Bytes().set(20, bits), "clusters of 2^");
  for (const U32 order : {7U, 64U, ~0U}) refused(Bytes().set(96, order), "refcounts have 2^");
  for (const U32 size : {0U, 72U, 103U, 105U, 4097U, ~0U}) {
    refused(Bytes().set(100, size), "header says");
  }
  for (const U64 size : {U64{1} << 62, ~U64{0}, U64{INT64_MAX}}) refused(Bytes().set(24, size), "");
  for (const U32 entries : {0U, 7U}) refused(Bytes().set(36, entries), "needs 8");
  refused(Bytes().set(36, (4U << 20) + 1), "are the most");
  refused(Bytes().set(36, U32{100000}), "passes the end");
  refused(Bytes().set(40, U64{0}), "where the header is");
  refused(Bytes().set(40, U64{4097}), "start of a cluster");
  refused(Bytes().set(40, U64{1} << 40), "passes the end");
  refused(Bytes().set(40, ~U64{4095}), "passes the end");
  refused(Bytes().set(48, U64{0}), "where the header is");
  refused(Bytes().set(48, U64{512}), "start of a cluster");
  refused(Bytes().set(48, U64{1} << 63), "passes the end");
  refused(Bytes().set(56, U32{0}), "no refcount table");
  refused(Bytes().set(56, U32{2049}), "are the most");
  refused(Bytes().set(56, ~U32{0}), "are the most");
  refused(Bytes().set(60, U32{65537}), "snapshots");
  refused(Bytes().set(60, U32{1}).set(64, U64{77}), "start of a cluster");
  refused(Bytes().set(60, U32{1}).set(64, U64{1} << 50), "passes the end");
  refused(Bytes().set(8, U64{4090}).set(16, U32{8}), "backing file");
  refused(Bytes().set(8, U64{512}).set(16, U32{1024}), "backing file");
  refused(Bytes().set(8, ~U64{0}).set(16, U32{8}), "backing file");
  refused(Bytes().set(8, U64{512}).set(16, U32{4}), "control characters");
  refused(Bytes().set(104, U32{7}).set(108, ~U32{0}), "extension");
}

TEST(Qcow2Header, EndsWhereverItIsCut) {
  const Bytes whole;
  for (std::size_t size = 0; size < 104; ++size) {
    EXPECT_FALSE(parse_header(std::as_bytes(std::span(whole.text)).first(size), size)) << size;
  }
}

}  // namespace
}  // namespace mote::storage::qcow2::test

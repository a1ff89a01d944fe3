// The ring of posted writes, with the test in KVM's place.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>

#include "kvm/posted_writes.h"

namespace mote::kvm {
namespace {

constexpr std::uint32_t kEntries = 170;  // a page less two words, by 24 bytes

class PostedRingTest : public testing::Test {
 protected:
  std::uint32_t word(std::size_t index) {
    return std::atomic_ref(reinterpret_cast<std::uint32_t*>(page.data())[index]).load();
  }
  void set_word(std::size_t index, std::uint32_t value) {
    std::atomic_ref(reinterpret_cast<std::uint32_t*>(page.data())[index]).store(value);
  }
  // As KVM does it; false when the ring is full.
  bool put(std::uint16_t port, std::string_view bytes, std::uint32_t length) {
    const std::uint32_t last = word(1);
    if ((last + 1) % kEntries == word(0)) return false;
    kvm_coalesced_mmio entry{};
    entry.phys_addr = port;
    entry.len = length;
    entry.pio = 1;
    std::memcpy(entry.data, bytes.data(), bytes.size());
    std::memcpy(page.data() + 8 + last * sizeof entry, &entry, sizeof entry);
    set_word(1, (last + 1) % kEntries);
    return true;
  }

  alignas(8) std::array<std::byte, 4096> page{};
  std::string seen;
  PostedRing ring{[this](std::uint16_t port, std::span<const std::byte> data) {
    seen += fmt::format("{:x}:", port);
    for (const std::byte byte : data) seen += static_cast<char>(byte);
    seen += ' ';
  }};
};

TEST_F(PostedRingTest, IsEmptyWithoutAPage) {
  ring.deliver();
  ring.use(std::span(page).first(100));
  put(1, "x", 1);
  ring.deliver();
  EXPECT_EQ(seen, "");
}

TEST_F(PostedRingTest, DeliversInOrderOnce) {
  ring.use(page);
  put(0x3f8, "a", 1);
  put(0x2f8, "bc", 2);
  ring.deliver();
  EXPECT_EQ(seen, "3f8:a 2f8:bc ");
  ring.deliver();
  put(0x3f8, "d", 1);
  ring.deliver();
  EXPECT_EQ(seen, "3f8:a 2f8:bc 3f8:d ");
  ring.use({});
  put(0x3f8, "e", 1);
  ring.deliver();
  EXPECT_EQ(seen, "3f8:a 2f8:bc 3f8:d ");
}

TEST_F(PostedRingTest, GoesRoundAndRound) {
  ring.use(page);
  std::string wanted;
  for (unsigned i = 0; i < 1000; ++i) {
    const std::string letter(1, static_cast<char>('a' + i % 26));
    while (!put(1, letter, 1)) ring.deliver();
    wanted += "1:" + letter + " ";
  }
  ring.deliver();
  EXPECT_EQ(seen, wanted);
  EXPECT_EQ(word(0), word(1));
}

TEST_F(PostedRingTest, NumbersThatKvmWouldNotWriteStayInside) {
  ring.use(page);
  put(1, "a", 1000);
  ring.deliver();
  EXPECT_EQ(seen, std::string("1:a\0\0\0\0\0\0\0 ", 11));
  set_word(0, 0xffffffff);
  set_word(1, 0x80000001);
  ring.deliver();
  EXPECT_LT(word(0), kEntries);
}

// A thread whose exit follows its own posted write finds it done, whoever delivered it.
TEST_F(PostedRingTest, NobodyPassesAnothersWrite) {
  std::string order;
  PostedRing shared(
      [&](std::uint16_t, std::span<const std::byte> data) { order += static_cast<char>(data[0]); });
  shared.use(page);
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) shared.deliver();
  });
  for (unsigned i = 0; i < 20'000; ++i) {
    const char letter = static_cast<char>('a' + i % 26);
    put(1, std::string(1, letter), 1);
    shared.deliver();
    ASSERT_EQ(order.size(), i + 1);
    ASSERT_EQ(order.back(), letter);
  }
  done = true;
  other.join();
}

}  // namespace
}  // namespace mote::kvm

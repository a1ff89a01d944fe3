// The queue with a driver that keeps the rules.
#include "virtio/queue/queue.h"

#include <gtest/gtest.h>

#include <cstring>

#include "virtio/queue/serve.h"
#include "virtio/test_driver.h"

namespace mote::virtio::test {
namespace {

constexpr std::uint64_t kVersion1 = std::uint64_t{1} << VIRTIO_F_VERSION_1;

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class QueueTest : public ::testing::Test {
 protected:
  QueueContext context(std::uint64_t features = kRingFeatures) {
    return {.memory = &memory_, .host = &host_, .index = 3, .max_size = 256, .features = features};
  }
  Queue make(const TestRing& ring) {
    auto queue = Queue::create(context(ring.features()), ring.addresses());
    if (!queue) throw std::runtime_error(queue.error().text());
    return std::move(*queue);
  }
  Chain next(Queue& queue) {
    auto chain = queue.next();
    if (!chain || !*chain) throw std::runtime_error("no chain is waiting");
    return std::move(**chain);
  }

  memory::GuestMemory memory_ = make_memory();
  FakeHost host_;
};

TEST_F(QueueTest, YieldsNothingWhenNothingWaits) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto chain = queue.next();
  ASSERT_TRUE(chain);
  EXPECT_FALSE(*chain);
  queue.flush();
  EXPECT_EQ(ring.used_index(), 0);
  EXPECT_EQ(host_.interrupts, 0);
}

TEST_F(QueueTest, ReadsAndWritesAcrossDescriptorsAndReportsTheLength) {
  for (const bool indirect : {false, true}) {
    TestRing ring(memory_, 16);
    Queue queue = make(ring);
    auto builder = ring.chain().in("he").in("l").in("lo world").out(3).out(1).out(10);
    if (indirect) builder.indirect();
    const auto head = builder.push();
    Chain chain = next(queue);
    EXPECT_EQ(chain.head(), head);
    EXPECT_EQ(chain.in().left(), 11U);
    const auto word = chain.in().read<std::array<char, 5>>();
    ASSERT_TRUE(word);
    EXPECT_EQ(std::string(word->data(), 5), "hello");
    EXPECT_EQ(chain.in().left(), 6U);
    EXPECT_FALSE(chain.in().read<std::uint64_t>()) << "6 bytes are left";
    EXPECT_EQ(chain.in().left(), 6U) << "a failed read takes nothing";

    EXPECT_EQ(chain.out().left(), 14U);
    ASSERT_TRUE(chain.out().write(std::as_bytes(std::span(std::string_view("abcdef")))));
    EXPECT_FALSE(chain.out().write(std::array<char, 9>{}));
    EXPECT_EQ(chain.out().written(), 6U);
    EXPECT_EQ(queue.in_flight(), 1U);
    std::move(chain).complete();
    EXPECT_EQ(queue.in_flight(), 0U);
    EXPECT_TRUE(ring.take_used().empty()) << "seen before flush()";
    queue.flush();
    EXPECT_EQ(ring.take_used(), (std::vector<Used>{{head, 6}}));
    EXPECT_EQ(ring.written(head), "abcdef????????");
    EXPECT_TRUE(ring.gaps_intact());
    EXPECT_EQ(queue.forgotten(), 0U);
  }
}

TEST_F(QueueTest, LendsBoundedIovecs) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto head = ring.chain().in("abc").in("defg").out(4).out(4).push();
  Chain chain = next(queue);
  std::vector<iovec> buffers;
  EXPECT_EQ(chain.in().lend(5, buffers), 5U);
  ASSERT_EQ(buffers.size(), 2U);
  EXPECT_EQ(buffers[0].iov_len, 3U);
  EXPECT_EQ(buffers[1].iov_len, 2U);
  EXPECT_EQ(text({static_cast<std::byte*>(buffers[1].iov_base), 2}), "de");
  EXPECT_EQ(chain.in().lend(100, buffers), 2U);
  EXPECT_EQ(buffers.size(), 3U);
  EXPECT_EQ(chain.in().lend(100, buffers), 0U);

  buffers.clear();
  EXPECT_EQ(chain.out().room(6, buffers), 6U);
  ASSERT_EQ(buffers.size(), 2U);
  std::memset(buffers[0].iov_base, 'x', 4);
  std::memset(buffers[1].iov_base, 'y', 2);
  EXPECT_EQ(chain.out().written(), 0U) << "lent is not written";
  chain.out().filled(5);
  EXPECT_EQ(chain.out().written(), 5U);
  EXPECT_EQ(chain.out().left(), 3U);
  chain.out().filled(3);
  EXPECT_EQ(chain.out().written(), 5U) << "what was lent has been settled";
  EXPECT_EQ(chain.out().room(1, buffers), 1U);
  chain.out().filled(1000);
  EXPECT_EQ(chain.out().written(), 6U) << "more than lent does not count";
  std::move(chain).complete();
  queue.flush();
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{head, 6}}));
  EXPECT_EQ(ring.written(head), "xxxxyy??");
}

TEST_F(QueueTest, RewritesWhatIsWrittenAndNothingElse) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto head = ring.chain().out(3).out(2).out(6).push();
  Chain chain = next(queue);
  const auto patch = [&](std::uint64_t offset, std::string_view bytes) {
    return chain.out().rewrite(offset, std::as_bytes(std::span(bytes)));
  };
  EXPECT_FALSE(patch(0, "x")) << "nothing is written yet";
  ASSERT_TRUE(chain.out().write(std::as_bytes(std::span(std::string_view("abcdefg")))));
  EXPECT_TRUE(patch(2, "1234"));
  EXPECT_TRUE(patch(7, ""));
  EXPECT_FALSE(patch(6, "56"));
  EXPECT_FALSE(patch(8, ""));
  EXPECT_FALSE(patch(~std::uint64_t{0}, "12"));
  EXPECT_EQ(chain.out().written(), 7U);
  std::move(chain).complete();
  queue.flush();
  EXPECT_EQ(ring.written(head), "ab1234g????");
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{head, 7}}));
}

TEST_F(QueueTest, KeepsATailWhereverItLies) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto head = ring.chain().out(4).out(1).out(1).push();
  Chain chain = next(queue);
  EXPECT_FALSE(chain.out().keep_tail(7));
  ASSERT_TRUE(chain.out().keep_tail(3));
  EXPECT_FALSE(chain.out().keep_tail(1)) << "one tail a chain";
  EXPECT_EQ(chain.out().left(), 3U);
  EXPECT_FALSE(chain.out().write(std::array<char, 4>{}));
  chain.out().write_tail(std::as_bytes(std::span(std::string_view("xyz"))));
  EXPECT_EQ(chain.out().written(), 3U);
  ASSERT_TRUE(chain.out().write(std::array<char, 3>{'a', 'b', 'c'}));
  std::move(chain).complete();
  queue.flush();
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{head, 6}}));
  EXPECT_EQ(ring.written(head), "abcxyz");
}

TEST_F(QueueTest, KeepsAHeadWhereverItLies) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto head = ring.chain().out(2).out(2).out(4).push();
  Chain chain = next(queue);
  EXPECT_FALSE(chain.out().keep_head(9));
  ASSERT_TRUE(chain.out().keep_head(5));
  EXPECT_FALSE(chain.out().keep_head(1)) << "one head a chain";
  EXPECT_EQ(chain.out().left(), 3U);
  ASSERT_TRUE(chain.out().write(std::as_bytes(std::span(std::string_view("ab")))));
  chain.out().write_head(std::as_bytes(std::span(std::string_view("1234"))));
  EXPECT_EQ(chain.out().written(), 2U) << "a head of another length is none";
  chain.out().write_head(std::as_bytes(std::span(std::string_view("12345"))));
  std::move(chain).complete();
  queue.flush();
  EXPECT_EQ(ring.take_used().at(0), (Used{head, 7}));
  EXPECT_EQ(ring.written(head), "12345ab?");
  EXPECT_TRUE(ring.gaps_intact());
}

TEST_F(QueueTest, AChainThatIsPutBackIsTheNextOneAgain) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto first = ring.chain().out(4).push();
  const auto second = ring.chain().out(4).push();
  for (int i = 0; i < 3; ++i) {
    queue.put_back(next(queue));
    EXPECT_EQ(queue.in_flight(), 0U);
  }
  queue.flush();
  EXPECT_EQ(ring.used_index(), 0);
  EXPECT_TRUE(queue.enable_notifications()) << "it still waits";
  EXPECT_EQ(next(queue).head(), first);
  EXPECT_EQ(next(queue).head(), second);
  EXPECT_EQ(queue.forgotten(), 2U) << "only those that were dropped here";
  EXPECT_EQ(queue.save().next_avail, 2);
}

TEST_F(QueueTest, AForgottenChainIsCompletedWithLengthZeroAndCounted) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto head = ring.chain().out(4).push();
  {
    Chain chain = next(queue);
    ASSERT_TRUE(chain.out().write(std::array<char, 4>{}));
  }
  queue.flush();
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{head, 0}}));
  EXPECT_EQ(queue.forgotten(), 1U);
}

TEST_F(QueueTest, AMovedChainIsCompletedOnce) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto first = ring.chain().in("a").push();
  const auto second = ring.chain().in("b").push();
  Chain one = next(queue);
  Chain two = next(queue);
  Chain moved = std::move(two);
  one = std::move(moved);  // the first one's turn to be forgotten
  EXPECT_EQ(*one.in().read<char>(), 'b');
  std::move(one).complete();
  std::move(one).complete();  // NOLINT(bugprone-use-after-move): twice is once
  queue.flush();
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{first, 0}, {second, 0}}));
  EXPECT_EQ(queue.forgotten(), 1U);
}

TEST_F(QueueTest, AChainMayOutliveItsQueue) {
  TestRing ring(memory_, 16);
  std::optional<Chain> chain;
  {
    Queue queue = make(ring);
    ring.chain().in("late").push();
    chain = next(queue);
  }
  EXPECT_EQ(*chain->in().read<char>(), 'l');
  std::move(*chain).complete();
}

TEST_F(QueueTest, CompletesOutOfOrder) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  const auto first = ring.chain().in("a").push();
  const auto second = ring.chain().in("b").push();
  Chain one = next(queue);
  Chain two = next(queue);
  std::move(two).complete();
  queue.flush();
  std::move(one).complete();
  queue.flush();
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{second, 0}, {first, 0}}));
}

TEST_F(QueueTest, GoesAroundTheRingAndAroundTheIndex) {
  TestRing ring(memory_, 4);
  Queue queue = make(ring);
  const std::uint64_t buffer = ring.allocate(4);
  for (int round = 0; round < 70000; ++round) {
    ring.put(1, {.address = buffer, .length = 4, .flags = VRING_DESC_F_WRITE});
    ring.offer(1);
    Chain chain = next(queue);
    ASSERT_TRUE(chain.out().write(static_cast<std::uint32_t>(round)));
    std::move(chain).complete();
    queue.flush();
    ASSERT_EQ(ring.take_used(), (std::vector<Used>{{1, 4}})) << round;
  }
  EXPECT_EQ(ring.used_index(), 70000 - 65536);
}

TEST_F(QueueTest, LeavesOutEmptyBuffers) {
  TestRing ring(memory_, 16);
  Queue queue = make(ring);
  ring.chain().in("").in("ab").in("").out(0).out(2).push();
  Chain chain = next(queue);
  EXPECT_EQ(chain.in().left(), 2U);
  EXPECT_EQ(chain.out().left(), 2U);
  EXPECT_TRUE(chain.in().read<std::uint16_t>());
  std::move(chain).complete();
}

TEST_F(QueueTest, MarksWhatItWritesDirty) {
  memory::GuestMemory memory = make_memory(/*track_dirty_pages=*/true);
  TestRing ring(memory, 16);
  auto queue =
      Queue::create({.memory = &memory, .host = &host_, .max_size = 256, .features = kRingFeatures},
                    ring.addresses());
  ASSERT_TRUE(queue);
  const std::uint64_t far = 64 << 20;
  ring.put(0, {.address = far, .length = 1, .flags = VRING_DESC_F_WRITE});
  ring.offer(0);
  static_cast<void>(memory.dirty_bitmap(0)->take());
  Chain chain = next(*queue);
  ASSERT_TRUE(chain.out().write('x'));
  std::move(chain).complete();
  queue->flush();
  EXPECT_TRUE(memory.dirty_bitmap(0)->test(far / memory::kPageSize));
  EXPECT_TRUE(memory.dirty_bitmap(0)->test(ring.addresses().device / memory::kPageSize));
}

TEST_F(QueueTest, GoesOnWhereItWasSaved) {
  TestRing ring(memory_, 8);
  QueueState state;
  {
    Queue queue = make(ring);
    for (int i = 0; i < 11; ++i) {
      ring.chain().in("x").push();
      next(queue).in();  // forgotten
      queue.flush();
      ring.take_used();
    }
    state = queue.save();
  }
  EXPECT_EQ(state.next_avail, 11);
  EXPECT_EQ(state.next_used, 11);
  const auto head = ring.chain().in("y").push();
  auto queue = Queue::restore(context(), ring.addresses(), state);
  ASSERT_TRUE(queue);
  Chain chain = next(*queue);
  EXPECT_EQ(*chain.in().read<char>(), 'y');
  std::move(chain).complete();
  queue->flush();
  EXPECT_EQ(ring.take_used(), (std::vector<Used>{{head, 0}}));
}

TEST_F(QueueTest, RefusesAStateWithChainsInFlight) {
  TestRing ring(memory_, 8);
  const auto queue = Queue::restore(context(), ring.addresses(), {.next_avail = 3, .next_used = 2});
  ASSERT_FALSE(queue);
  EXPECT_EQ(queue.error().kind(), ErrorKind::kInvalid);
}

TEST_F(QueueTest, ServeHandsOutEverythingAndFlushesOnce) {
  TestRing ring(memory_, 16, 0x10000, kVersion1);
  Queue queue = make(ring);
  for (int i = 0; i < 5; ++i) ring.chain().in("x").push();
  int handled = 0;
  serve(queue, [&](Chain chain) {
    EXPECT_EQ(ring.used_flags(), VRING_USED_F_NO_NOTIFY);
    // One more comes in while the first batch is served.
    if (handled++ == 0) ring.chain().in("late").push();
    std::move(chain).complete();
  });
  EXPECT_EQ(handled, 6);
  EXPECT_EQ(host_.interrupts, 1);
  EXPECT_EQ(ring.used_flags(), 0);
  EXPECT_EQ(host_.agains, 0);
}

TEST_F(QueueTest, ServeLeavesTheThreadToOthersWhenTheDriverNeverPauses) {
  TestRing ring(memory_, 4);
  Queue queue = make(ring);
  const std::uint64_t buffer = ring.allocate(1);
  ring.put(0, {.address = buffer, .length = 1});
  ring.offer(0);
  int handled = 0;
  serve(queue, [&](Chain chain) {
    std::move(chain).complete();
    queue.flush();
    ring.offer(0);
    ++handled;
  });
  EXPECT_EQ(handled, 4);
  EXPECT_EQ(host_.agains, 1);
}

}  // namespace
}  // namespace mote::virtio::test

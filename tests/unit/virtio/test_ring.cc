#include "virtio/test_ring.h"

#include <atomic>
#include <stdexcept>

#include "virtio/queue/ring_abi.h"

namespace mote::virtio::test {
namespace {

constexpr char kGuard = '\xa5';
constexpr std::uint64_t kArea = 8 << 20;

void expect(const Result<void>& result) {
  if (!result) throw std::logic_error(result.error().text());
}

template <typename T>
T get(const memory::GuestMemory& memory, std::uint64_t address) {
  // The device may be writing on another thread.
  return memory.slice(address, sizeof(T))->load<T>(0, std::memory_order_acquire);
}

template <typename T>
void set(const memory::GuestMemory& memory, std::uint64_t address, T value) {
  memory.slice(address, sizeof(T))->store<T>(0, value, std::memory_order_release);
}

}  // namespace

memory::GuestMemory make_memory(bool track_dirty_pages) {
  auto memory =
      memory::GuestMemory::create({.ranges = {{0, kLowEnd}, {kHighStart, kHighEnd - kHighStart}},
                                   .track_dirty_pages = track_dirty_pages});
  if (!memory) throw std::runtime_error(memory.error().text());
  return std::move(*memory);
}

ChainBuilder& ChainBuilder::in(std::string_view bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  const std::uint64_t address = ring_.allocate(length);
  expect(ring_.memory_.write(address, std::as_bytes(std::span(bytes))));
  descriptors_.push_back({.address = address, .length = length});
  return *this;
}

ChainBuilder& ChainBuilder::out(std::uint32_t length) {
  const std::uint64_t address = ring_.allocate(length);
  const std::string filler(length, '?');
  expect(ring_.memory_.write(address, std::as_bytes(std::span(filler))));
  descriptors_.push_back({.address = address, .length = length, .flags = VRING_DESC_F_WRITE});
  return *this;
}

ChainBuilder& ChainBuilder::indirect() {
  indirect_ = true;
  return *this;
}

std::uint16_t ChainBuilder::push() {
  std::vector<Descriptor> outs;
  for (const Descriptor& descriptor : descriptors_) {
    if ((descriptor.flags & VRING_DESC_F_WRITE) != 0) outs.push_back(descriptor);
  }
  if (indirect_) {
    const std::uint64_t table = ring_.allocate(descriptors_.size() * sizeof(vring_desc));
    const auto count = static_cast<std::uint16_t>(descriptors_.size());
    for (std::uint16_t i = 0; i < count; ++i) {
      Descriptor descriptor = descriptors_[i];
      if (i + 1 < count) {
        descriptor.flags |= VRING_DESC_F_NEXT;
        descriptor.next = i + 1;
      }
      ring_.put_at(table, i, descriptor);
    }
    descriptors_ = {{.address = table,
                     .length = static_cast<std::uint32_t>(descriptors_.size() * sizeof(vring_desc)),
                     .flags = VRING_DESC_F_INDIRECT}};
  }
  std::vector<std::uint16_t> indices;
  for (std::size_t i = 0; i < descriptors_.size(); ++i) {
    if (ring_.free_.empty()) throw std::logic_error("the test ring has no descriptor left");
    indices.push_back(ring_.free_.back());
    ring_.free_.pop_back();
  }
  for (std::size_t i = 0; i < descriptors_.size(); ++i) {
    if (i + 1 < descriptors_.size()) {
      descriptors_[i].flags |= VRING_DESC_F_NEXT;
      descriptors_[i].next = indices[i + 1];
    }
    ring_.put(indices[i], descriptors_[i]);
  }
  const std::uint16_t head = indices.front();
  ring_.chains_[head] = std::move(indices);
  ring_.outs_[head] = std::move(outs);
  ring_.offer(head);
  return head;
}

TestRing::TestRing(const memory::GuestMemory& memory, std::uint16_t size, std::uint64_t base,
                   std::uint64_t features)
    : memory_(memory), size_(size), base_(base), features_(features), next_free_(base) {
  table_ = allocate(sizeof(vring_desc) * std::uint64_t{size}, VRING_DESC_ALIGN_SIZE);
  available_ring_ = allocate(6 + 2 * std::uint64_t{size}, VRING_AVAIL_ALIGN_SIZE);
  used_ring_ = allocate(6 + 8 * std::uint64_t{size}, VRING_USED_ALIGN_SIZE);
  buffers_ = next_free_;
  ring_gaps_ = gaps_.size();
  // Another ring may have been here before.
  for (const auto& [address, length] : {std::pair{table_, sizeof(vring_desc) * std::uint64_t{size}},
                                        std::pair{available_ring_, 6 + 2 * std::uint64_t{size}},
                                        std::pair{used_ring_, 6 + 8 * std::uint64_t{size}}}) {
    if (!memory.slice(address, length)->zero(0, length)) throw std::logic_error("zero the rings");
  }
  for (std::uint16_t i = 0; i < size; ++i) free_.push_back(i);
  // Not in order: the next descriptor is not the next index.
  std::shuffle(free_.begin(), free_.end(), random_);
}

QueueAddresses TestRing::addresses() const {
  return {.size = size_, .descriptors = table_, .driver = available_ring_, .device = used_ring_};
}

std::uint64_t TestRing::allocate(std::uint64_t length, std::uint64_t alignment) {
  const std::uint64_t start = next_free_;
  std::uint64_t address = start + 1 + random_() % 97;
  address = (address + alignment - 1) / alignment * alignment;
  if (address + length > base_ + kArea) throw std::logic_error("the test ring's memory is full");
  gaps_.push_back({.address = start, .length = address - start});
  const std::string guard(address - start, kGuard);
  expect(memory_.write(start, std::as_bytes(std::span(guard))));
  next_free_ = address + length;
  return address;
}

bool TestRing::gaps_intact() const {
  for (const Gap& gap : gaps_) {
    std::string bytes(gap.length, '\0');
    expect(memory_.read(gap.address, std::as_writable_bytes(std::span(bytes))));
    if (bytes.find_first_not_of(kGuard) != std::string::npos) return false;
  }
  return true;
}

std::vector<Used> TestRing::take_used() {
  std::vector<Used> fresh;
  while (seen_used_ != used_index()) {
    const std::uint64_t at = used_ring_ + 4 + 8 * (std::uint64_t{seen_used_} % size_);
    fresh.push_back({get<std::uint32_t>(memory_, at), get<std::uint32_t>(memory_, at + 4)});
    ++seen_used_;
    const auto chain = chains_.find(static_cast<std::uint16_t>(fresh.back().head));
    if (chain == chains_.end()) continue;
    free_.insert(free_.end(), chain->second.begin(), chain->second.end());
    chains_.erase(chain);
  }
  return fresh;
}

std::string TestRing::written(std::uint16_t head) const {
  std::string all;
  for (const Descriptor& out : outs_.at(head)) {
    std::string bytes(out.length, '\0');
    expect(memory_.read(out.address, std::as_writable_bytes(std::span(bytes))));
    all += bytes;
  }
  return all;
}

bool TestRing::kick_due() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint16_t old = std::exchange(kicked_, available_);
  if (old == available_) return false;
  if ((features_ >> VIRTIO_RING_F_EVENT_IDX & 1) != 0) {
    return vring_need_event(avail_event(), available_, old) != 0;
  }
  return (used_flags() & VRING_USED_F_NO_NOTIFY) == 0;
}

void TestRing::set_used_event(std::uint16_t index) {
  set<std::uint16_t>(memory_, available_ring_ + 4 + 2 * std::uint64_t{size_}, index);
}

void TestRing::set_no_interrupt(bool on) {
  set<std::uint16_t>(memory_, available_ring_, on ? VRING_AVAIL_F_NO_INTERRUPT : 0);
}

void TestRing::put(std::uint16_t index, const Descriptor& descriptor) {
  put_at(table_, index, descriptor);
}

void TestRing::put_at(std::uint64_t table, std::uint16_t index, const Descriptor& descriptor) {
  expect(memory_.write(table + sizeof(vring_desc) * index, vring_desc{.addr = descriptor.address,
                                                                      .len = descriptor.length,
                                                                      .flags = descriptor.flags,
                                                                      .next = descriptor.next}));
}

void TestRing::offer(std::uint16_t head) {
  set<std::uint16_t>(memory_, available_ring_ + 4 + 2 * (std::uint64_t{available_} % size_), head);
  set_available_index(available_ + 1);
}

void TestRing::set_available_index(std::uint16_t index) {
  available_ = index;
  set<std::uint16_t>(memory_, available_ring_ + 2, index);
}

std::uint16_t TestRing::used_index() const { return get<std::uint16_t>(memory_, used_ring_ + 2); }

std::uint16_t TestRing::avail_event() const {
  return get<std::uint16_t>(memory_, used_ring_ + 4 + 8 * std::uint64_t{size_});
}

std::uint16_t TestRing::used_flags() const { return get<std::uint16_t>(memory_, used_ring_); }

void TestRing::rewind() {
  if (!chains_.empty()) throw std::logic_error("chains are in flight");
  if (!gaps_intact()) throw std::logic_error("the device wrote outside of the buffers");
  next_free_ = buffers_;
  gaps_.resize(ring_gaps_);
  outs_.clear();
}

void TestRing::start_at(std::uint16_t index) {
  set_available_index(index);
  kicked_ = seen_used_ = index;
  set<std::uint16_t>(memory_, used_ring_ + 2, index);
}

}  // namespace mote::virtio::test

#include "fuzz/virtio/guest.h"

#include <linux/virtio_mmio.h>
#include <poll.h>

#include <array>
#include <cstring>

#include "fuzz/target.h"
#include "fuzz/virtio/checked_device.h"

namespace mote::fuzz {
namespace {

using virtio::Mmio;

// Guest memory: rings, then buffers, and a second region for what goes from one to the other.
constexpr std::uint64_t kLowSize = 0x20000;
constexpr std::uint64_t kHighStart = std::uint64_t{4} << 30;
constexpr std::uint64_t kHighSize = 0x4000;
constexpr std::uint64_t kRings = 0x1000;
constexpr std::uint64_t kRingStride = 0x800;
constexpr std::uint64_t kAvailable = 0x400;  // from a ring's start
constexpr std::uint64_t kUsed = 0x500;
constexpr std::uint16_t kLargestRing = 64;
constexpr std::uint64_t kBuffers = 0x10000;
constexpr unsigned kMostRings = (kBuffers - kRings) / kRingStride;
constexpr std::size_t kMostSteps = 400;

constexpr std::uint32_t kDriver = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
constexpr std::uint32_t kFeaturesOk = kDriver | VIRTIO_CONFIG_S_FEATURES_OK;
constexpr std::uint32_t kDriverOk = kFeaturesOk | VIRTIO_CONFIG_S_DRIVER_OK;

constexpr std::array<std::uint16_t, 24> kRegisters{0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x20, 0x24,
                                                   0x30, 0x34, 0x38, 0x44, 0x50, 0x60, 0x64, 0x70,
                                                   0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xac, 0xfc};

constexpr std::array<std::uint64_t, 10> kAddresses{0,
                                                   kRings,
                                                   kBuffers,
                                                   kLowSize - 1,
                                                   kLowSize,
                                                   kHighStart,
                                                   kHighStart - 1,
                                                   UINT64_MAX,
                                                   kHighStart + kHighSize - 8,
                                                   UINT64_MAX - 0xfff};

memory::GuestMemory make_memory() {
  auto memory = memory::GuestMemory::create(
      {.ranges = {{.start = 0, .size = kLowSize}, {.start = kHighStart, .size = kHighSize}},
       .track_dirty_pages = true});
  require(memory.has_value(), "there is memory for a guest");
  return std::move(*memory);
}

const memory::GuestMemory& fresh_memory() {
  static const memory::GuestMemory memory = make_memory();
  require(memory.slice(0, kLowSize)->zero(0, kLowSize), "low memory is there");
  require(memory.slice(kHighStart, kHighSize)->zero(0, kHighSize), "high memory is there");
  return memory;
}

std::uint64_t ring_at(std::uint16_t queue) { return kRings + queue % kMostRings * kRingStride; }

}  // namespace

class Guest::Line final : public bus::Interrupt {
 public:
  void trigger() override {}
};

World::World()
    : loop_(std::move(*EventLoop::create())),
      memory_(fresh_memory()),
      device_memory_(
          std::move(*memory::GuestMemory::create({.ranges = {{0, memory::kPageSize}}}))) {}

Guest::Guest(World& world, DeviceRig& rig)
    : world_(world), rig_(rig), line_(std::make_unique<Line>()), buffers_(kBuffers) {
  attach(nullptr);
}

Guest::~Guest() = default;

void Guest::attach(const virtio::MmioState* state) {
  device_ = std::make_unique<CheckedDevice>(rig_.device());
  Mmio::Parts parts{.name = "the fuzzed device",
                    .device = device_.get(),
                    .memory = &world_.memory(),
                    .interrupt = line_.get(),
                    .run = [](const std::function<void()>& task) { task(); },
                    .run_here = [](const std::function<bool()>& task) { return task(); },
                    .route_kicks = [](std::uint16_t, int, virtio::KickRoute) { return true; }};
  auto made =
      state == nullptr ? Mmio::create(std::move(parts)) : Mmio::restore(std::move(parts), *state);
  if (!made) std::fprintf(stderr, "%s\n", made.error().text().c_str());
  require(made.has_value(), "what was saved can be restored");
  mmio_ = std::move(*made);
  rings_.resize(mmio_->queue_count());
}

void Guest::restore() {
  mmio_->pause();
  const auto state = mmio_->save();
  require(state.has_value(), "what is paused can be saved");
  mmio_.reset();
  device_.reset();
  rig_.restore();
  attach(&*state);
  if (!paused_) mmio_->resume();
}

// What a guest does
// ------------------------------------------------------------------------------------------------

void Guest::act(Input& input) {
  for (std::size_t steps = 0; !input.done() && steps < kMostSteps; ++steps) step(input);
}

void Guest::step(Input& input) {
  constexpr std::uint8_t kSteps = 16;
  switch (input.below(kSteps)) {
    case 0:
      return start(~std::uint64_t{0}, 4);
    case 1:
      return start(input.number<std::uint64_t>(), input.number<std::uint8_t>() % 7,
                   input.once_in(2) ? input.number<std::uint32_t>() : 0);
    case 2:
      return register_access(input);
    case 3:
      return config_access(input);
    case 4:
      return ring_access(input);
    case 5:
      return lie(input);
    case 6:
      return machine_step(input);
    case 7:
    case 8:
      return rig_.happen(input);
    case 9:
    case 10:
      return turn();
    default: {
      const std::uint16_t queue = any_queue(input);
      push(queue, rig_.request(input, queue), input.once_in(4));
      if (!input.once_in(4)) kick(queue);
    }
  }
}

void Guest::register_access(Input& input) {
  const std::uint64_t offset =
      input.once_in(8) ? input.below<std::uint16_t>(Mmio::kSize) : input.pick(kRegisters);
  if (!input.once_in(8))
    return set(offset, input.number<std::uint32_t>() >> (input.number<std::uint8_t>() % 32));
  std::array<std::byte, 8> data{};
  const std::span<std::byte> part =
      std::span(data).first(std::size_t{1} << input.below<std::uint8_t>(4));
  if (input.once_in(2)) return mmio_->read(offset, part);
  std::ranges::fill(part, std::byte{input.number<std::uint8_t>()});
  mmio_->write(offset, part);
}

void Guest::config_access(Input& input) {
  std::array<std::byte, 8> data{};
  const std::span<std::byte> part =
      std::span(data).first(std::size_t{1} << input.below<std::uint8_t>(4));
  const std::uint64_t offset = VIRTIO_MMIO_CONFIG + input.below<std::uint8_t>(128);
  if (input.once_in(3)) return mmio_->read(offset, part);
  const auto value = input.number<std::uint64_t>();
  std::memcpy(part.data(), &value, part.size());
  mmio_->write(offset, part);
}

// A descriptor, an entry, an index or a flag of a ring, with any value.
void Guest::ring_access(Input& input) {
  const std::uint16_t queue = any_queue(input);
  Ring& ring = rings_[queue];
  const std::uint64_t base = ring_at(queue);
  switch (input.below<std::uint8_t>(4)) {
    case 0: {
      const vring_desc descriptor{
          .addr = any_address(input),
          .len = input.number<std::uint32_t>() >> (input.number<std::uint8_t>() % 32),
          .flags = input.below<std::uint16_t>(8),
          .next = input.below<std::uint16_t>(kLargestRing)};
      const auto index = input.below<std::uint8_t>(kLargestRing);
      return poke_value(base + sizeof descriptor * index, descriptor);
    }
    case 1: {
      // Makes any descriptor available.
      const std::uint16_t size = std::max<std::uint16_t>(ring.size, 1);
      poke_value(base + kAvailable + 4 + 2 * (ring.available % size),
                 input.below<std::uint16_t>(kLargestRing));
      return poke_value(base + kAvailable + 2, ++ring.available);
    }
    case 2:
      // What the driver says of interrupts: its flag, or the event index behind the entries.
      poke_value(base + kAvailable, input.below<std::uint16_t>(2));
      return poke_value(base + kAvailable + 4 + 2 * ring.size, input.number<std::uint16_t>());
    default:
      ring.available = input.number<std::uint16_t>();
      return poke_value(base + kAvailable + 2, ring.available);
  }
}

void Guest::lie(Input& input) {
  const std::string text = input.text(64);
  poke(any_address(input), std::as_bytes(std::span(text)));
}

// What the machine does to the device, whatever its guest is doing.
void Guest::machine_step(Input& input) {
  switch (input.below<std::uint8_t>(5)) {
    case 0:
      set(VIRTIO_MMIO_STATUS, 0);
      return;
    case 1:
      mmio_->pause();
      paused_ = true;
      return;
    case 2:
      mmio_->resume();
      paused_ = false;
      return;
    case 3:
      return restore();
    default:
      set(VIRTIO_MMIO_QUEUE_SEL, any_queue(input));
      set(VIRTIO_MMIO_QUEUE_READY, input.below<std::uint8_t>(2));
  }
}

void Guest::expect_well() {
  mmio_->resume();
  rig_.heal();
  const auto probe = rig_.probe();
  if (!probe) return;
  start(~std::uint64_t{0}, 4);
  require(get(VIRTIO_MMIO_STATUS) == kDriverOk, "a device that was reset starts");
  push(probe->queue, probe->request, false);
  kick(probe->queue);
  constexpr int kMostTurns = 50;
  for (int i = 0; i < kMostTurns && used_index(probe->queue) == 0; ++i) turn();
  require(used_index(probe->queue) > 0, "a device that was reset answers");
  require((get(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET) == 0, "a good ring is believed");
}

// How it does it
// ------------------------------------------------------------------------------------------------

void Guest::start(std::uint64_t features, std::uint8_t size_shift, std::uint32_t left_out) {
  set(VIRTIO_MMIO_STATUS, 0);
  set(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
  set(VIRTIO_MMIO_STATUS, kDriver);
  for (const std::uint32_t word : {0U, 1U}) {
    set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
    set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
    auto taken =
        get(VIRTIO_MMIO_DEVICE_FEATURES) & static_cast<std::uint32_t>(features >> (32 * word));
    if (word == 1) taken |= 1U << (VIRTIO_F_VERSION_1 - 32);
    set(VIRTIO_MMIO_DRIVER_FEATURES, taken);
  }
  set(VIRTIO_MMIO_STATUS, kFeaturesOk);
  for (std::uint16_t i = 0; i < rings_.size() && i < kMostRings; ++i) {
    if ((left_out >> i & 1) != 0) continue;
    set_up_queue(i, static_cast<std::uint16_t>(1U << size_shift));
  }
  set(VIRTIO_MMIO_STATUS, kDriverOk);
}

void Guest::set_up_queue(std::uint16_t queue, std::uint16_t size) {
  const std::uint64_t base = ring_at(queue);
  constexpr std::array<std::byte, kRingStride> kNothing{};
  poke(base, kNothing);
  rings_[queue] = {.size = size};
  set(VIRTIO_MMIO_QUEUE_SEL, queue);
  set(VIRTIO_MMIO_QUEUE_NUM, size);
  set(VIRTIO_MMIO_QUEUE_DESC_LOW, static_cast<std::uint32_t>(base));
  set(VIRTIO_MMIO_QUEUE_AVAIL_LOW, static_cast<std::uint32_t>(base + kAvailable));
  set(VIRTIO_MMIO_QUEUE_USED_LOW, static_cast<std::uint32_t>(base + kUsed));
  set(VIRTIO_MMIO_QUEUE_READY, 1);
}

// Descriptors and buffers are taken in turn, whether those of old chains are free or not.
void Guest::push(std::uint16_t queue, const Request& request, bool indirect) {
  Ring& ring = rings_[queue];
  if (ring.size == 0) return;
  std::vector<vring_desc> chain;
  const auto add = [&](std::uint32_t length, std::uint16_t flags) {
    if (buffers_ + length > kLowSize) buffers_ = kBuffers;
    chain.push_back({.addr = buffers_, .len = length, .flags = flags, .next = 0});
    buffers_ += std::min<std::uint64_t>(length, kLowSize - kBuffers);
    return chain.back().addr;
  };
  for (const std::string& bytes : request.in) {
    poke(add(static_cast<std::uint32_t>(bytes.size()), 0), std::as_bytes(std::span(bytes)));
  }
  for (const std::uint32_t length : request.out) add(length, VRING_DESC_F_WRITE);
  if (chain.empty()) return;

  const std::uint64_t base = ring_at(queue);
  std::uint64_t table = base;
  std::uint16_t first = ring.next_descriptor;
  if (indirect) {
    const auto length = static_cast<std::uint32_t>(chain.size() * sizeof(vring_desc));
    table = kHighStart + 16;
    poke_value(base + sizeof(vring_desc) * first,
               vring_desc{.addr = table, .len = length, .flags = VRING_DESC_F_INDIRECT, .next = 0});
    ring.next_descriptor = (first + 1) % ring.size;
  } else {
    ring.next_descriptor = (first + chain.size()) % ring.size;
  }
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const auto place = [&](std::size_t at) {
      return static_cast<std::uint16_t>(indirect ? at : (first + at) % ring.size);
    };
    chain[i].next = place(i + 1);
    if (i + 1 < chain.size()) chain[i].flags |= VRING_DESC_F_NEXT;
    poke_value(table + sizeof(vring_desc) * place(i), chain[i]);
  }
  poke_value(base + kAvailable + 4 + 2 * (ring.available % ring.size), first);
  poke_value(base + kAvailable + 2, ++ring.available);
}

void Guest::kick(std::uint16_t queue) {
  set(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
  turn();
}

// A turn of the machine thread: kicks, and whatever else is ready.
void Guest::turn() {
  std::vector<pollfd> kicks;
  for (std::uint16_t i = 0; i < rings_.size(); ++i) {
    kicks.push_back({.fd = mmio_->notify_fd(i), .events = POLLIN, .revents = 0});
  }
  if (::poll(kicks.data(), kicks.size(), 0) > 0) {
    for (std::uint16_t i = 0; i < kicks.size(); ++i) {
      if (kicks[i].revents != 0) mmio_->handle_notify(i);
    }
  }
  require(world_.loop().run_once(0).has_value(), "the loop goes on");
}

std::uint16_t Guest::used_index(std::uint16_t queue) const {
  return *world_.memory().read<std::uint16_t>(ring_at(queue) + kUsed + 2);
}

std::uint32_t Guest::get(std::uint64_t offset) {
  std::uint32_t value = 0;
  mmio_->read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

void Guest::set(std::uint64_t offset, std::uint32_t value) {
  mmio_->write(offset, std::as_bytes(std::span(&value, 1)));
}

void Guest::poke(std::uint64_t address, std::span<const std::byte> bytes) {
  // A driver cannot write where no memory is, and goes on.
  static_cast<void>(world_.memory().write(address, bytes));
}

std::uint16_t Guest::any_queue(Input& input) {
  if (rings_.empty()) return 0;
  return input.below(static_cast<std::uint16_t>(std::min<std::size_t>(rings_.size(), kMostRings)));
}

std::uint64_t Guest::any_address(Input& input) {
  const std::uint64_t base = input.pick(kAddresses);
  return base + (input.once_in(2) ? input.number<std::uint16_t>() : input.number<std::uint8_t>());
}

}  // namespace mote::fuzz

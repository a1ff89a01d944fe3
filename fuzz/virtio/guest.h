// Guest is the one driver of all device targets: it turns bytes into what a hostile guest, its
// vCPUs and the machine around can do to a virtio device over MMIO: registers in any order, rings
// and memory of any content, sound requests, kicks, resets, pauses, saves and restores. When the
// bytes are used up, a reset must make the device work again.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/event_loop.h"
#include "fuzz/input.h"
#include "fuzz/virtio/rig.h"
#include "memory/address_space.h"
#include "memory/guest_memory.h"
#include "virtio/fake_slots.h"
#include "virtio/transport/mmio.h"

namespace mote::fuzz {

// The guest's memory and the machine's loop: a device's services. Memory is the same for every
// input, and zero at its start. What devices bring is memory of a guest of its own, anew for every
// input.
class World {
 public:
  World();
  virtio::DeviceServices services() { return {.loop = *loop_, .memory = memory_, .space = space_}; }
  EventLoop& loop() { return *loop_; }
  const memory::GuestMemory& memory() const { return memory_; }

 private:
  std::unique_ptr<EventLoop> loop_;
  const memory::GuestMemory& memory_;
  memory::GuestMemory device_memory_;
  virtio::test::FakeSlots slots_;
  memory::AddressSpace space_{device_memory_, virtio::test::device_window, slots_};
};

class CheckedDevice;

class Guest {
 public:
  Guest(World& world, DeviceRig& rig);
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // Does what `input` says, to its end.
  void act(Input& input);
  // A reset, a proper start, and the rig's probe.
  void expect_well();

 private:
  // Where this driver has put a queue, and how far it is.
  struct Ring {
    std::uint16_t size = 0;
    std::uint16_t available = 0;
    std::uint16_t next_descriptor = 0;
  };

  void step(Input& input);
  void register_access(Input& input);
  void config_access(Input& input);
  void ring_access(Input& input);
  void lie(Input& input);
  void machine_step(Input& input);

  void attach(const virtio::MmioState* state);
  void restore();
  // Without the queues whose bits are in `left_out`.
  void start(std::uint64_t features, std::uint8_t size_shift, std::uint32_t left_out = 0);
  void set_up_queue(std::uint16_t queue, std::uint16_t size);
  void push(std::uint16_t queue, const Request& request, bool indirect);
  void turn();
  void kick(std::uint16_t queue);
  std::uint16_t used_index(std::uint16_t queue) const;

  std::uint32_t get(std::uint64_t offset);
  void set(std::uint64_t offset, std::uint32_t value);
  void poke(std::uint64_t address, std::span<const std::byte> bytes);
  template <typename T>
  void poke_value(std::uint64_t address, const T& value) {
    poke(address, std::as_bytes(std::span(&value, 1)));
  }
  std::uint16_t any_queue(Input& input);
  std::uint64_t any_address(Input& input);

  World& world_;
  DeviceRig& rig_;
  class Line;
  std::unique_ptr<Line> line_;
  std::unique_ptr<CheckedDevice> device_;
  std::unique_ptr<virtio::Mmio> mmio_;
  std::vector<Ring> rings_;
  std::uint64_t buffers_ = 0;  // where the next buffer goes
  bool paused_ = false;
};

template <typename D>
void fuzz_device(std::span<const std::uint8_t> bytes) {
  Input input(bytes);
  World world;
  Rig<D> rig(input, world.services());
  Guest guest(world, rig);
  guest.act(input);
  guest.expect_well();
}

}  // namespace mote::fuzz

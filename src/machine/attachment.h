// Attachment puts a virtio device on the machine: its transport on the MMIO bus, its kicks as
// ioeventfds that the event loop watches, its interrupt as an irqfd.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "bus/bus.h"
#include "bus/interrupt.h"
#include "kvm/kvm.h"
#include "machine/rendezvous.h"
#include "memory/guest_memory.h"
#include "virtio/transport/mmio.h"

namespace mote::machine {

// Where a device is: its window of virtio::Mmio::kSize bytes, the memory that the guest reads
// there, and its interrupt.
struct MmioPlace {
  std::uint64_t base = 0;
  std::uint32_t gsi = 0;
  std::byte* page = nullptr;
};

// What a device is attached to. All outlive the attachment.
struct AttachmentSite {
  EventLoop& loop;
  const kvm::Vm& vm;
  bus::Bus& mmio;
  const memory::GuestMemory& memory;
  Rendezvous& rendezvous;
  // A handler brings guest memory as it is touched, and may take long: what KVM answers by itself
  // stays as it is, since a change would wait for vCPUs that wait for it.
  bool memory_on_demand = false;
  int unheard = -1;  // an eventfd that nobody reads, for acknowledgements of interrupts
};

class Attachment {
 public:
  // Attaches `device`, which outlives the attachment. `name` is for the log. After the VM's memory
  // slots are set: a slot that is added later waits out what an ioeventfd leaves behind. With
  // `state`, the transport goes on from there, paused.
  static Result<Attachment> create(const AttachmentSite& site, const MmioPlace& place,
                                   std::string name, virtio::Device& device,
                                   const virtio::MmioState* state);

  virtio::Mmio& transport() const { return *transport_; }

 private:
  Attachment() = default;

  std::unique_ptr<bus::Interrupt> interrupt_;
  std::unique_ptr<virtio::Mmio> transport_;
  std::vector<EventLoop::Watch> kicks_;
};

// A device and its attachment.
struct AttachedDevice {
  std::size_t kind = 0;      // its line in virtio::kDeviceKinds
  std::string_view section;  // these two as ListedDevice's
  std::string id;
  std::unique_ptr<virtio::Device> device;
  Attachment attachment;
};

}  // namespace mote::machine

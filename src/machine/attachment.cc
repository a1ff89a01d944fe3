#include "machine/attachment.h"

#include <linux/virtio_mmio.h>
#include <sys/epoll.h>

namespace mote::machine {
namespace {

// An irqfd. Its worker, which KVM has for it, costs the machine thread less than the line by hand
// does (reads of a disk, one at a time, were slower so), but a vCPU's own thread more.
class DeviceInterrupt final : public bus::Interrupt {
 public:
  DeviceInterrupt(bus::EventFdInterrupt event, const kvm::Vm& vm, std::uint32_t gsi)
      : event_(std::move(event)), vm_(vm), gsi_(gsi) {}
  void trigger() override { event_.trigger(); }
  void trigger_here() override { vm_.pulse_irq(gsi_); }
  int fd() const override { return event_.fd(); }

 private:
  bus::EventFdInterrupt event_;
  const kvm::Vm& vm_;
  std::uint32_t gsi_;
};

}  // namespace

Result<Attachment> Attachment::create(const AttachmentSite& site, const MmioPlace& place,
                                      std::string name, virtio::Device& device,
                                      const virtio::MmioState* state) {
  Attachment made;
  MOTE_TRY(bus::EventFdInterrupt interrupt, bus::EventFdInterrupt::create());
  made.interrupt_ = std::make_unique<DeviceInterrupt>(std::move(interrupt), site.vm, place.gsi);
  MOTE_CHECK(site.vm.assign_irqfd(made.interrupt_->fd(), place.gsi));

  virtio::Mmio::Parts parts{
      .name = std::move(name),
      .device = &device,
      .memory = &site.memory,
      .interrupt = made.interrupt_.get(),
      .run = [&rendezvous =
                  site.rendezvous](const std::function<void()>& task) { rendezvous.call(task); },
      .run_here = [&rendezvous = site.rendezvous](
                      const std::function<bool()>& task) { return rendezvous.call_here(task); },
      .page = place.page,
  };
  const std::uint64_t notify = place.base + virtio::Mmio::kNotifyOffset;
  if (!site.memory_on_demand) {
    parts.route_kicks = [&vm = site.vm, notify](std::uint16_t queue, int kick,
                                                virtio::KickRoute route) {
      return (route == virtio::KickRoute::kHere ? vm.unassign_ioeventfd(kick, notify, queue)
                                                : vm.assign_ioeventfd(kick, notify, queue))
          .has_value();
    };
  }
  MOTE_TRY(made.transport_, state == nullptr ? virtio::Mmio::create(std::move(parts))
                                             : virtio::Mmio::restore(std::move(parts), *state));
  // KVM has a worker thread bring an irqfd's interrupt to the controllers, which may have been
  // saved before it did: the guest would wait for it for ever. A driver that finds nothing new
  // takes no harm.
  if (state != nullptr && state->interrupt_status != 0) made.interrupt_->trigger();
  virtio::Mmio& transport = *made.transport_;
  MOTE_CHECK(site.mmio.insert(place.base, virtio::Mmio::kSize, transport));

  MOTE_CHECK(site.vm.assign_ioeventfd(site.unheard, place.base + virtio::Mmio::kAcknowledgeOffset,
                                      VIRTIO_MMIO_INT_VRING));
  for (std::uint32_t i = 0; i < transport.queue_count(); ++i) {
    const auto queue = static_cast<std::uint16_t>(i);
    const int kick = transport.notify_fd(queue);
    MOTE_CHECK(site.vm.assign_ioeventfd(kick, notify, queue));
    if (device.traits().queues_elsewhere) continue;
    MOTE_TRY(EventLoop::Watch watch,
             site.loop.watch(kick, EPOLLIN | EPOLLET, [&transport, queue](std::uint32_t) {
               transport.handle_notify(queue);
             }));
    made.kicks_.push_back(std::move(watch));
  }
  return made;
}

}  // namespace mote::machine

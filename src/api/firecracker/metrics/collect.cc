#include "api/firecracker/metrics/collect.h"

#include <algorithm>

#include "api/firecracker/metrics/groups.h"
#include "base/log.h"

namespace mote::api::firecracker {
namespace {

using machine::DeviceCounts;

// Counted by the transport for every device.
struct BlockEvents {
  Counter event_fails;
};
BOOST_DESCRIBE_STRUCT(BlockEvents, (), (event_fails))

struct InterruptCounts {
  Counter triggers;
};
BOOST_DESCRIBE_STRUCT(InterruptCounts, (), (triggers))

template <typename Group, typename... Source>
std::vector<OwnNumber> own_of(const Source&... sources) {
  std::vector<OwnNumber> own;
  (for_each_own<Group>(sources, [&](const OwnNumber& number) { own.push_back(number); }), ...);
  return own;
}

// The struct Source of those that count for a device of kind Device.
template <typename Device, typename Source>
Source source_of(const DeviceCounts& counts) {
  if constexpr (std::is_same_v<Source, virtio::TransportMetrics>) {
    return counts.transport;
  } else if constexpr (std::is_same_v<Source, BlockEvents>) {
    // What a drive has of events that fail are rings that lie.
    return {.event_fails = counts.transport.rings_broken};
  } else {
    const auto* metrics = std::get_if<virtio::kKindIndex<Device>>(&counts.metrics);
    return metrics != nullptr ? *metrics : Source();
  }
}

class Collection {
 public:
  Collection(const MetricsSources& sources, GroupSink& sink) : from_(sources), sink_(sink) {}
  void all();

 private:
  // One group, which is `sources` counted by Group's keys.
  template <typename Group, typename... Source>
  auto one(GroupNumbers group, const Source&... sources) {
    static constexpr auto& kAll = kFields<Group, Source...>;
    const auto numbers = numbers_of<Group>(sources...);
    const auto own = sink_.wants_own() ? own_of<Group>(sources...) : std::vector<OwnNumber>();
    group.fields = kAll;
    group.numbers = numbers;
    group.own = own;
    if (group.source == nullptr) group.source = group.name.data();
    // What the sink returns may be the numbers above.
    std::array<std::uint64_t, kAll.size()> taken{};
    std::ranges::copy(sink_.take(group), taken.begin());
    return taken;
  }
  template <typename Source>
  void whole(std::string_view name, const Source& source) {
    one<Whole<Source>>({.name = name}, source);
  }

  // A device that a machine has one of at most. It is counted by its kind's struct and `Source...`.
  template <typename Group, typename Device, typename... Source>
  void device(std::string_view name) {
    const DeviceCounts none;
    const DeviceCounts* found = after<Device>(nullptr);
    const DeviceCounts& counts = found != nullptr ? *found : none;
    one<Group>({.name = name, .source = counts.device},
               source_of<Device, machine::detail::MetricsOf<Device>>(counts),
               source_of<Device, Source>(counts)...);
  }

  // Devices that a machine may have several of; likewise. Returns their sum.
  template <typename Group, typename Device, typename... Source>
  auto devices(std::string_view name) {
    static constexpr auto& kAll = kFields<Group, machine::detail::MetricsOf<Device>, Source...>;
    std::array<std::uint64_t, kAll.size()> sums{};
    for (const DeviceCounts* next = after<Device>(nullptr); next != nullptr;
         next = after<Device>(next)) {
      const auto taken = one<Group>({.name = name, .id = next->id, .source = next->device},
                                    source_of<Device, machine::detail::MetricsOf<Device>>(*next),
                                    source_of<Device, Source>(*next)...);
      add_numbers(kAll, taken, sums);
    }
    return sums;
  }
  // And a group for all of them.
  template <typename Group, typename Device, typename... Source>
  void devices_and_sum(std::string_view name) {
    const auto sums = devices<Group, Device, Source...>(name);
    sink_.take({.name = name,
                .fields = kFields<Group, machine::detail::MetricsOf<Device>, Source...>,
                .numbers = sums});
  }

  // Of the devices of a kind the one whose id is the next after `last`'s, in the order of bytes.
  template <typename Device>
  const DeviceCounts* after(const DeviceCounts* last) const {
    const DeviceCounts* next = nullptr;
    for (const DeviceCounts& counts : from_.machine.devices()) {
      if (counts.metrics.index() != virtio::kKindIndex<Device>) continue;
      if (last != nullptr && counts.id <= last->id) continue;
      if (next == nullptr || counts.id < next->id) next = &counts;
    }
    return next;
  }

  void interrupts();
  // What Firecracker has no group for.
  void own_groups();

  const MetricsSources& from_;
  GroupSink& sink_;
};

void Collection::interrupts() {
  InterruptCounts counts;
  for (const DeviceCounts& device : from_.machine.devices()) {
    counts.triggers += device.transport.interrupts;
  }
  one<InterruptsKeys>({.name = "interrupts"}, counts);
}

void Collection::own_groups() {
  if (!sink_.wants_own()) return;
  const std::array fields{Field{{}, "missed_count", FieldKind::kCounter}};
  const std::array numbers{from_.machine.missed_accesses};
  sink_.take({.name = "bus", .fields = fields, .numbers = numbers});
  if (after<virtio::Console>(nullptr) != nullptr) {
    device<Whole<virtio::ConsoleMetrics>, virtio::Console>("console");
  }
}

void Collection::all() {
  using Transport = virtio::TransportMetrics;
  whole("api_server", from_.process.api_server);
  device<BalloonKeys, virtio::Balloon, Transport>("balloon");
  devices_and_sum<BlockKeys, virtio::Block, Transport, BlockEvents>("block");
  whole("deprecated_api", from_.process.deprecated_api);
  whole("get_api_requests", from_.process.get_api_requests);
  one<I8042Keys>({.name = "i8042"}, from_.machine.i8042);
  one<UartKeys>({.name = "uart"}, from_.machine.serial);
  whole("latencies_us", from_.process.latencies_us);
  one<LoggerKeys>({.name = "logger"}, from_.output, log::metrics());
  whole("mmds", from_.process.mmds);
  devices_and_sum<NetKeys, virtio::Net, Transport>("net");
  whole("patch_api_requests", from_.process.patch_api_requests);
  whole("put_api_requests", from_.process.put_api_requests);
  whole("seccomp", from_.process.seccomp);
  whole("vcpu", from_.machine.vcpu);
  whole("vmm", from_.process.vmm);
  whole("signals", from_.process.signals);
  device<VsockKeys, virtio::Vsock, Transport>("vsock");
  device<EntropyKeys, virtio::Rng, Transport>("entropy");
  devices<VhostUserKeys, virtio::VhostUserBlock>("vhost_user_block");
  devices_and_sum<PmemKeys, virtio::Pmem, Transport>("pmem");
  interrupts();
  device<MemoryHotplugKeys, virtio::Mem, Transport>("memory_hotplug");
  own_groups();
}

}  // namespace

void collect(const MetricsSources& sources, GroupSink& sink) { Collection(sources, sink).all(); }

}  // namespace mote::api::firecracker

#include "engine/doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

namespace mote::engine {
namespace {

constexpr std::uint64_t kNoLimit = UINT64_MAX;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kEnoughFiles = 1024;
constexpr std::uint64_t kEnoughLockedMemory = 8 * kMiB;
constexpr int kLandlockWithTruncate = 3;

Item kvm_item(const HostFacts& facts) {
  Item item{.name = "kvm", .state = State::Ok, .needed = true, .found = {}, .advice = {}};
  if (facts.kvm.usability == kvm::Usability::kUsable) {
    item.found =
        fmt::format("usable; {} million instructions a second in ring 0", facts.kvm.ring0_mips);
    return item;
  }
  item.state = State::Missing;
  item.found = facts.kvm.reason;
  if (facts.kvm.usability == kvm::Usability::kAbsent) {
    item.advice =
        "load kvm_intel or kvm_amd; switch virtualisation on in the firmware; in a virtual "
        "machine, ask its host for nested virtualisation";
  } else if (facts.kvm_device == Access::kForbidden) {
    item.advice = "become a member of the group kvm (usermod -aG kvm USER) and log in again";
    return item;
  } else {
    item.advice = "use a host whose processor's own virtualisation reaches this kernel";
  }
  item.advice += ". Meanwhile lab/lab -- mote ... runs everything in an emulated machine";
  return item;
}

Item capabilities_item(const HostFacts& facts) {
  Item item{.name = "kvm capabilities",
            .state = State::Ok,
            .needed = true,
            .found = fmt::format("all {} that are needed", facts.needed_capabilities),
            .advice = {}};
  if (facts.missing_capabilities.empty()) return item;
  item.state = State::Missing;
  item.found = fmt::format("lacks KVM_CAP_{}", fmt::join(facts.missing_capabilities, ", KVM_CAP_"));
  item.advice = "use Linux 5.10 or newer on a processor of x86-64 with VMX or SVM";
  return item;
}

Item cgroups_item(Cgroups cgroups) {
  Item item{.name = "cgroups", .state = State::Ok, .needed = false, .found = {}, .advice = {}};
  switch (cgroups) {
    case Cgroups::kV2:
      item.found = "v2";
      break;
    case Cgroups::kHybrid:
      item.found = "v1, and v2 beside it without controllers";
      item.state = State::Limited;
      item.advice = "boot with systemd.unified_cgroup_hierarchy=1 to limit microVMs through v2";
      break;
    case Cgroups::kV1:
      item.found = "v1";
      item.state = State::Limited;
      item.advice = "boot with systemd.unified_cgroup_hierarchy=1 to limit microVMs through v2";
      break;
    case Cgroups::kNone:
      item.found = "not mounted on /sys/fs/cgroup";
      item.state = State::Missing;
      item.advice = "mount -t cgroup2 none /sys/fs/cgroup, to limit what a microVM takes";
      break;
  }
  return item;
}

Item tun_item(Access access) {
  Item item{.name = "tun", .state = State::Ok, .needed = false, .found = {}, .advice = {}};
  switch (access) {
    case Access::kOpen:
      item.found = "/dev/net/tun can be opened";
      break;
    case Access::kForbidden:
      item.found = "/dev/net/tun is forbidden";
      item.state = State::Limited;
      item.advice = "chmod 666 /dev/net/tun; making a tap takes CAP_NET_ADMIN besides";
      break;
    case Access::kMissing:
      item.found = "/dev/net/tun is missing";
      item.state = State::Missing;
      item.advice = "modprobe tun, to give microVMs a network by tap";
      break;
  }
  return item;
}

Item huge_pages_item(const HostFacts& facts) {
  Item item{.name = "huge pages",
            .state = State::Ok,
            .needed = false,
            .found = fmt::format(
                "{} of 2 MiB in the pool, {} free; transparent: {}", facts.huge_pages,
                facts.free_huge_pages,
                facts.transparent_huge_pages.empty() ? "none" : facts.transparent_huge_pages),
            .advice = {}};
  if (facts.free_huge_pages > 0) return item;
  item.state = State::Limited;
  item.advice = "sysctl vm.nr_hugepages=N, for N times 2 MiB of guests with \"huge_pages\": \"2M\"";
  return item;
}

Item userfaultfd_item(const HostFacts& facts) {
  Item item{.name = "userfaultfd", .state = State::Ok, .needed = false, .found = {}, .advice = {}};
  if (facts.userfaultfd_for_all) {
    item.found = "for all faults";
  } else if (facts.userfaultfd_device == Access::kOpen) {
    item.found = "for all faults, through /dev/userfaultfd";
  } else {
    item.state = facts.userfaultfd_for_user ? State::Limited : State::Missing;
    item.found = facts.userfaultfd_for_user
                     ? "for faults of user space alone; KVM's are the kernel's"
                     : "none";
    item.advice =
        "sysctl vm.unprivileged_userfaultfd=1, or permission for /dev/userfaultfd (Linux 6.1 or "
        "newer), to load the memory of a snapshot as it is touched";
  }
  return item;
}

Item landlock_item(int abi) {
  Item item{.name = "landlock",
            .state = State::Ok,
            .needed = false,
            .found = fmt::format("ABI {}", abi),
            .advice = {}};
  if (abi >= kLandlockWithTruncate) return item;
  item.state = abi > 0 ? State::Limited : State::Missing;
  if (abi <= 0) item.found = "none";
  item.advice =
      "use Linux 6.2 or newer with landlock in the kernel's lsm= list, for a second wall "
      "around the monitor";
  return item;
}

Item seccomp_item(bool present) {
  if (present) {
    return {
        .name = "seccomp", .state = State::Ok, .needed = false, .found = "filters", .advice = {}};
  }
  return {.name = "seccomp",
          .state = State::Missing,
          .needed = false,
          .found = "no filters",
          .advice = "use a kernel with CONFIG_SECCOMP_FILTER, for a wall around the monitor"};
}

std::string amount(std::uint64_t limit, std::uint64_t unit, const char* name) {
  return limit == kNoLimit ? "no limit" : fmt::format("{}{}", limit / unit, name);
}

Item open_files_item(std::uint64_t limit) {
  Item item{.name = "open files",
            .state = State::Ok,
            .needed = false,
            .found = amount(limit, 1, ""),
            .advice = {}};
  if (limit >= kEnoughFiles) return item;
  item.state = State::Limited;
  item.advice =
      fmt::format("ulimit -n {}, as a monitor with many devices opens hundreds", kEnoughFiles);
  return item;
}

Item locked_memory_item(std::uint64_t limit) {
  Item item{.name = "locked memory",
            .state = State::Ok,
            .needed = false,
            .found = amount(limit, kMiB, " MiB"),
            .advice = {}};
  if (limit >= kEnoughLockedMemory) return item;
  item.state = State::Limited;
  item.advice = fmt::format("ulimit -l {}, which io_uring and passed-through devices count against",
                            kEnoughLockedMemory / 1024);
  return item;
}

}  // namespace

const char* name_of(kvm::Usability usability) {
  switch (usability) {
    case kvm::Usability::kUsable:
      return "usable";
    case kvm::Usability::kUnusable:
      return "unusable";
    case kvm::Usability::kAbsent:
      return "absent";
  }
  return "absent";
}

Diagnosis examine(const HostFacts& facts) {
  Diagnosis diagnosis{.ready = true, .kvm = name_of(facts.kvm.usability), .safe = {}, .items = {}};
  diagnosis.items.push_back(kvm_item(facts));
  // Nobody knows what a KVM can that cannot be opened.
  if (facts.needed_capabilities > 0) diagnosis.items.push_back(capabilities_item(facts));
  diagnosis.items.push_back(cgroups_item(facts.cgroups));
  diagnosis.items.push_back(tun_item(facts.tun));
  diagnosis.items.push_back(huge_pages_item(facts));
  diagnosis.items.push_back(userfaultfd_item(facts));
  diagnosis.items.push_back(landlock_item(facts.landlock_abi));
  diagnosis.items.push_back(seccomp_item(facts.seccomp_filters));
  diagnosis.items.push_back(open_files_item(facts.open_files));
  diagnosis.items.push_back(locked_memory_item(facts.locked_memory));
  for (const Item& item : diagnosis.items) {
    if (item.needed && item.state != State::Ok) diagnosis.ready = false;
  }
  return diagnosis;
}

std::string to_text(const Diagnosis& diagnosis) {
  std::string text;
  const auto out = std::back_inserter(text);
  for (const Item& item : diagnosis.items) {
    constexpr std::array kStates{"ok", "limited", "missing", "unsafe"};
    fmt::format_to(out, "{:<8} {:<17} {}{}\n", kStates[static_cast<std::size_t>(item.state)],
                   item.name, item.found, item.needed || diagnosis.safe ? "" : " (optional)");
    if (!item.advice.empty()) fmt::format_to(out, "{:27}-> {}\n", "", item.advice);
  }
  text += diagnosis.ready ? "This host runs microVMs.\n"
                          : "This host does not run microVMs: see what is missing above.\n";
  if (diagnosis.safe) {
    text += *diagnosis.safe ? "Nothing here lets one microVM reach another.\n"
                            : "It is not for microVMs that do not trust one another: see what is "
                              "unsafe above.\n";
  }
  return text;
}

}  // namespace mote::engine

#include "engine/production.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace mote::engine {
namespace {

constexpr std::uint64_t kEnoughFiles =
    65536;  // a jail each for a thousand microVMs, started by one process

Item item_of(std::string name, State state, std::string found, std::string_view advice) {
  return {.name = std::move(name),
          .state = state,
          .needed = false,
          .found = std::move(found),
          .advice = state == State::Ok ? std::string() : std::string(advice)};
}

Item smt_item(const ProductionFacts& facts) {
  const std::string control = facts.smt.empty() ? "unknown" : facts.smt;
  if (!facts.smt_active) {
    return item_of("smt", State::Ok, fmt::format("no siblings in use ({})", control), {});
  }
  return item_of("smt", facts.core_scheduling ? State::Limited : State::Unsafe,
                 fmt::format("siblings share a core ({}); core scheduling: {}", control,
                             facts.core_scheduling ? "yes" : "no"),
                 facts.core_scheduling
                     ? "boot with nosmt; else give each microVM a cookie: mote-jailer does"
                     : "boot with nosmt, or echo off > /sys/devices/system/cpu/smt/control");
}

// "Mitigation: PTE Inversion; VMX: vulnerable" is a hole as well.
bool is_vulnerable(std::string_view line) {
  return line.starts_with("Vulnerable") || line.contains("vulnerable") ||
         line.contains("Vulnerable");
}

Item mitigations_item(const ProductionFacts& facts) {
  if (facts.vulnerabilities.empty()) {
    return item_of("mitigations", State::Limited, "the kernel does not say",
                   "use a kernel that reports /sys/devices/system/cpu/vulnerabilities");
  }
  std::vector<std::string> open;
  for (const auto& [name, line] : facts.vulnerabilities) {
    if (is_vulnerable(line)) open.push_back(fmt::format("{} ({})", name, line));
  }
  if (open.empty()) {
    return item_of("mitigations", State::Ok,
                   fmt::format("all {} that the kernel knows", facts.vulnerabilities.size()), {});
  }
  return item_of("mitigations", State::Unsafe, fmt::format("open: {}", fmt::join(open, "; ")),
                 "update the microcode and the kernel; take mitigations=off and its like off the "
                 "kernel's command line");
}

Item ksm_item(const ProductionFacts& facts) {
  return item_of(
      "ksm", facts.ksm == 1 ? State::Unsafe : State::Ok,
      facts.ksm == 1 ? "merges equal pages" : "off",
      "echo 2 > /sys/kernel/mm/ksm/run: the time of a write tells what others' pages hold");
}

Item swap_item(const ProductionFacts& facts) {
  if (facts.swaps.empty()) return item_of("swap", State::Ok, "off", {});
  return item_of("swap", State::Limited, fmt::format("on: {}", fmt::join(facts.swaps, ", ")),
                 "swapoff -a, or encrypt it: guests' memory stays on the disk after they end");
}

struct Parameter {
  const char* name;
  std::string_view bad;  // values that weaken, between bars
  State state;
  const char* advice;
};

constexpr std::array kParameters{
    Parameter{"kvm.ignore_msrs", "|Y|1|", State::Limited,
              "a guest should see a fault: kvm.ignore_msrs=0"},
    Parameter{"kvm.enable_vmware_backdoor", "|Y|1|", State::Unsafe, "kvm.enable_vmware_backdoor=0"},
    Parameter{"kvm.allow_unsafe_mappings", "|Y|1|", State::Unsafe, "kvm.allow_unsafe_mappings=0"},
    Parameter{"kvm_intel.nested", "|Y|1|", State::Limited,
              "kvm_intel.nested=0, unless guests run guests"},
    Parameter{"kvm_amd.nested", "|Y|1|", State::Limited,
              "kvm_amd.nested=0, unless guests run guests"},
    Parameter{"kvm_intel.vmentry_l1d_flush", "|never|", State::Unsafe,
              "kvm_intel.vmentry_l1d_flush=cond"},
    Parameter{"kvm_intel.ept", "|N|0|", State::Limited,
              "kvm_intel.ept=1: shadow paging is slow and large"},
    Parameter{"kvm_amd.npt", "|N|0|", State::Limited,
              "kvm_amd.npt=1: shadow paging is slow and large"},
};

Item kvm_item(const ProductionFacts& facts) {
  std::vector<std::string> found;
  std::vector<std::string> advice;
  State state = State::Ok;
  for (const Parameter& parameter : kParameters) {
    const auto value = facts.kvm_parameters.find(parameter.name);
    if (value == facts.kvm_parameters.end()) continue;
    if (!parameter.bad.contains(fmt::format("|{}|", value->second))) continue;
    found.push_back(fmt::format("{}={}", parameter.name, value->second));
    advice.emplace_back(parameter.advice);
    state = std::max(state, parameter.state);
  }
  if (found.empty()) return item_of("kvm parameters", State::Ok, "nothing that weakens a wall", {});
  return item_of("kvm parameters", state, fmt::format("{}", fmt::join(found, ", ")),
                 fmt::format("in /etc/modprobe.d: {}", fmt::join(advice, "; ")));
}

struct Sysctl {
  const char* name;
  std::int64_t least;
  std::int64_t most;
};

constexpr std::array kSysctls{
    Sysctl{"kernel.kptr_restrict", 1, 2},
    Sysctl{"kernel.dmesg_restrict", 1, 1},
    Sysctl{"kernel.unprivileged_bpf_disabled", 1, 2},
    Sysctl{"kernel.perf_event_paranoid", 2, 4},
    Sysctl{"kernel.randomize_va_space", 2, 2},
    Sysctl{"kernel.yama.ptrace_scope", 1, 3},
    Sysctl{"fs.suid_dumpable", 0, 0},
    Sysctl{"vm.unprivileged_userfaultfd", 0, 0},
};

Item sysctls_item(const ProductionFacts& facts) {
  std::vector<std::string> found;
  std::vector<std::string> advice;
  for (const Sysctl& rule : kSysctls) {
    const auto value = facts.sysctls.find(rule.name);
    if (value == facts.sysctls.end()) continue;
    if (value->second >= rule.least && value->second <= rule.most) continue;
    found.push_back(fmt::format("{}={}", rule.name, value->second));
    advice.push_back(
        fmt::format("{}={}", rule.name, value->second < rule.least ? rule.least : rule.most));
  }
  if (found.empty()) return item_of("sysctls", State::Ok, "as advised", {});
  return item_of("sysctls", State::Limited, fmt::format("{}", fmt::join(found, ", ")),
                 fmt::format("sysctl {}", fmt::join(advice, " ")));
}

Item controllers_item(const ProductionFacts& facts) {
  std::vector<std::string> missing;
  for (const std::string_view wanted : {"cpu", "memory", "pids", "io"}) {
    const std::string padded = " " + facts.cgroup_controllers + " ";
    const bool found = padded.contains(fmt::format(" {} ", wanted)) ||
                       (wanted == "io" && padded.contains(" blkio "));
    if (!found) missing.emplace_back(wanted);
  }
  if (missing.empty()) {
    return item_of("controllers", State::Ok,
                   fmt::format("cgroups limit {}", facts.cgroup_controllers), {});
  }
  return item_of("controllers", State::Unsafe,
                 fmt::format("cgroups do not limit {}", fmt::join(missing, ", ")),
                 "enable the controllers, so that one microVM cannot take what is the others': "
                 "mote-jailer --cgroup memory.max=... --cgroup cpu.max=...");
}

Item limits_item(const ProductionFacts& facts) {
  std::vector<std::string> found;
  std::vector<std::string> advice;
  if (facts.core_size != 0) {
    found.emplace_back("core files are written");
    advice.emplace_back("ulimit -c 0: a core file holds what the monitor knew");
  }
  if (facts.open_files < kEnoughFiles) {
    found.push_back(fmt::format("{} open files", facts.open_files));
    advice.push_back(fmt::format("ulimit -n {}", kEnoughFiles));
  }
  if (found.empty()) return item_of("limits", State::Ok, "no core files, many open files", {});
  return item_of("limits", State::Limited, fmt::format("{}", fmt::join(found, ", ")),
                 fmt::format("{}", fmt::join(advice, "; ")));
}

Item device_item(const ProductionFacts& facts) {
  return item_of("/dev/kvm", facts.kvm_for_everyone ? State::Limited : State::Ok,
                 facts.kvm_for_everyone ? "everyone may write to it" : "not for everyone",
                 "chmod 660 /dev/kvm and a group of its own: KVM is a large part of the kernel to "
                 "hand to every user");
}

}  // namespace

std::vector<Item> examine_production(const ProductionFacts& facts) {
  return {smt_item(facts),         mitigations_item(facts), ksm_item(facts),
          swap_item(facts),        kvm_item(facts),         sysctls_item(facts),
          controllers_item(facts), limits_item(facts),      device_item(facts)};
}

Diagnosis with_production(Diagnosis diagnosis, std::vector<Item> items) {
  diagnosis.safe =
      std::ranges::none_of(items, [](const Item& item) { return item.state == State::Unsafe; });
  std::ranges::move(items, std::back_inserter(diagnosis.items));
  return diagnosis;
}

}  // namespace mote::engine

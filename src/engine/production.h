// `mote doctor --production`: whether this host is set up for microVMs whose owners do not trust
// one another. gather_production_facts() looks, examine_production() judges;
// docs/production-host.md has the reasons.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/doctor.h"

namespace mote::engine {

// What the kernel says of itself. Empty text, or nothing, where a file is missing.
struct ProductionFacts {
  std::string smt;               // /sys/devices/system/cpu/smt/control
  bool smt_active = false;       // two hardware threads of one core are in use
  bool core_scheduling = false;  // PR_SCHED_CORE works
  std::map<std::string, std::string> vulnerabilities;  // of the processor: name, what is done
  std::uint64_t ksm = 0;                               // 1: pages are merged
  std::vector<std::string> swaps;                      // files and partitions
  std::map<std::string, std::string> kvm_parameters;   // "kvm.ignore_msrs": "N"
  std::map<std::string, std::int64_t> sysctls;         // "kernel.kptr_restrict": 0
  std::string cgroup_controllers;  // of the root of v2, or the hierarchies of v1
  bool kvm_for_everyone = false;   // others may open /dev/kvm
  std::uint64_t core_size = 0;     // RLIMIT_CORE in bytes; UINT64_MAX: no limit
  std::uint64_t open_files = 0;    // RLIMIT_NOFILE
};

// Reads below `root`, which ends without a slash: "" is this host, another one a test's tree of
// files.
ProductionFacts gather_production_facts(const std::string& root = {});

// An item each. State::Unsafe: one microVM may reach another or the host by it. State::Limited: a
// layer is missing, or what is written may outlive the microVM.
std::vector<Item> examine_production(const ProductionFacts& facts);

// The diagnosis with these items behind its own, and `safe` told: none of them is unsafe.
Diagnosis with_production(Diagnosis diagnosis, std::vector<Item> items);

}  // namespace mote::engine

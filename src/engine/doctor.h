// `mote doctor`: what this host has of what microVMs need, and what to do about the rest.
// gather_facts() looks, examine() judges.
#pragma once

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_rules.h"
#include "kvm/probe.h"

namespace mote::engine {

// Whether a device can be opened for reading and writing.
enum class Access { kOpen, kForbidden, kMissing };

enum class Cgroups { kNone, kV1, kV2, kHybrid };

struct HostFacts {
  Access kvm_device = Access::kMissing;
  kvm::ProbeResult kvm;
  std::vector<std::string> missing_capabilities;  // of KVM, without KVM_CAP_
  std::size_t needed_capabilities = 0;
  Cgroups cgroups = Cgroups::kNone;
  Access tun = Access::kMissing;
  std::uint64_t huge_pages = 0;  // of 2 MiB: the pool, and what of it is free
  std::uint64_t free_huge_pages = 0;
  std::string transparent_huge_pages;  // always, madvise, never; empty: none
  bool userfaultfd_for_all = false;    // faults of the kernel included, as KVM's are
  bool userfaultfd_for_user = false;   // faults of user space alone
  Access userfaultfd_device = Access::kMissing;
  int landlock_abi = 0;  // 0: none
  bool seccomp_filters = false;
  std::uint64_t locked_memory = 0;  // RLIMIT_MEMLOCK in bytes, RLIMIT_NOFILE; UINT64_MAX: no limit
  std::uint64_t open_files = 0;
};

HostFacts gather_facts();

// Unsafe: only of a host that is looked at for production (engine/production.h).
enum class State { Ok, Limited, Missing, Unsafe };
BOOST_DESCRIBE_ENUM(State, Ok, Limited, Missing, Unsafe)
constexpr auto json_names(State) {
  return std::array{json::name(State::Ok, "ok"), json::name(State::Limited, "limited"),
                    json::name(State::Missing, "missing"), json::name(State::Unsafe, "unsafe")};
}

struct Item {
  std::string name;
  State state = State::Ok;
  bool needed = false;  // no microVM runs without it
  std::string found;
  std::string advice;  // what to do; empty when nothing is to be done
};
BOOST_DESCRIBE_STRUCT(Item, (), (name, state, needed, found, advice))

struct Diagnosis {
  bool ready = false;  // everything needed is there
  std::string kvm;     // usable, unusable, absent
  // Whether microVMs that do not trust one another may share it; nothing where that was not asked.
  std::optional<bool> safe;
  std::vector<Item> items;
};
BOOST_DESCRIBE_STRUCT(Diagnosis, (), (ready, kvm, safe, items))

Diagnosis examine(const HostFacts& facts);

// usable, unusable or absent.
const char* name_of(kvm::Usability usability);

// For a person: a line an item, with the advice below it.
std::string to_text(const Diagnosis& diagnosis);

}  // namespace mote::engine

// What `mote doctor --production` looks at.
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "engine/host_files.h"
#include "engine/production.h"

namespace mote::engine {
namespace {

std::map<std::string, std::string> files_of(const std::string& folder,
                                            const std::string& prefix = {}) {
  std::map<std::string, std::string> lines;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    if (const auto line = first_line(entry.path())) {
      lines[prefix + entry.path().filename().string()] = *line;
    }
  }
  return lines;
}

std::vector<std::string> swaps_in(const std::string& path) {
  std::vector<std::string> swaps;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);  // a title
  while (std::getline(file, line)) swaps.push_back(line.substr(0, line.find_first_of(" \t")));
  return swaps;
}

// v2 names its controllers in a file; of v1, each hierarchy is a folder.
std::string controllers_below(const std::string& root) {
  if (const auto v2 = first_line(root + "/sys/fs/cgroup/cgroup.controllers")) return *v2;
  std::string names;
  for (const char* name : {"cpu", "memory", "blkio", "pids"}) {
    std::error_code none;
    if (!std::filesystem::exists(root + "/sys/fs/cgroup/" + name, none)) continue;
    names += names.empty() ? name : std::string(" ") + name;
  }
  return names;
}

bool has_core_scheduling() {
  unsigned long cookie = 0;
  return ::prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, 0 /* this thread */, &cookie) == 0;
}

}  // namespace

ProductionFacts gather_production_facts(const std::string& root) {
  ProductionFacts facts;
  const std::string cpu = root + "/sys/devices/system/cpu/";
  facts.smt = first_line(cpu + "smt/control").value_or("");
  facts.smt_active = number_in(cpu + "smt/active").value_or(0) != 0;
  facts.core_scheduling = has_core_scheduling();
  facts.vulnerabilities = files_of(cpu + "vulnerabilities");
  facts.ksm = static_cast<std::uint64_t>(number_in(root + "/sys/kernel/mm/ksm/run").value_or(0));
  facts.swaps = swaps_in(root + "/proc/swaps");
  for (const char* module : {"kvm", "kvm_intel", "kvm_amd"}) {
    facts.kvm_parameters.merge(
        files_of(root + "/sys/module/" + module + "/parameters", std::string(module) + "."));
  }
  constexpr std::array kSysctls{"kernel.kptr_restrict",
                                "kernel.dmesg_restrict",
                                "kernel.unprivileged_bpf_disabled",
                                "kernel.perf_event_paranoid",
                                "kernel.randomize_va_space",
                                "kernel.yama.ptrace_scope",
                                "fs.suid_dumpable",
                                "vm.unprivileged_userfaultfd"};
  for (const std::string name : kSysctls) {
    std::string path = root + "/proc/sys/" + name;
    std::replace(path.begin() + static_cast<std::ptrdiff_t>(root.size()) + 10, path.end(), '.',
                 '/');
    if (const auto value = number_in(path)) facts.sysctls[name] = *value;
  }
  facts.cgroup_controllers = controllers_below(root);
  struct stat device{};
  const bool found = ::stat((root + "/dev/kvm").c_str(), &device) == 0;
  facts.kvm_for_everyone = found && (device.st_mode & S_IWOTH) != 0;
  facts.core_size = limit_of(RLIMIT_CORE);
  facts.open_files = limit_of(RLIMIT_NOFILE);
  return facts;
}

}  // namespace mote::engine

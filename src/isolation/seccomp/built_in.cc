#include "isolation/seccomp/built_in.h"

namespace mote::seccomp {
namespace {

// kSetupCode and so on; kCallNames: the names in the order of their numbers, a zero byte behind
// each.
#include "seccomp_filters.inc"

}  // namespace

std::string_view name_of(Filter filter) {
  switch (filter) {
    case Filter::kSetup:
      return "setup";
    case Filter::kLaunch:
      return "launch";
    case Filter::kVmm:
      return "vmm";
    case Filter::kServed:
      return "served";
    case Filter::kApi:
      return "api";
    case Filter::kVcpu:
      return "vcpu";
    case Filter::kWorker:
      return "worker";
  }
  return "unknown";
}

Program built_in(Filter filter) {
  switch (filter) {
    case Filter::kSetup:
      return kSetupCode;
    case Filter::kLaunch:
      return kLaunchCode;
    case Filter::kVmm:
      return kVmmCode;
    case Filter::kServed:
      return kServedCode;
    case Filter::kApi:
      return kApiCode;
    case Filter::kVcpu:
      return kVcpuCode;
    case Filter::kWorker:
      return kWorkerCode;
  }
  return kVcpuCode;
}

std::string_view call_name(int number) {
  std::string_view names(kCallNames, sizeof kCallNames - 1);
  for (int i = 0; !names.empty(); ++i) {
    const std::size_t end = names.find('\0');
    if (i == number && end > 0) return names.substr(0, end);
    names.remove_prefix(end + 1);
  }
  return "unknown";
}

}  // namespace mote::seccomp

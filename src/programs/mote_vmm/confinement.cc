#include "programs/mote_vmm/confinement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/json.h"
#include "base/log.h"
#include "base/thread_guard.h"
#include "base/unique_fd.h"
#include "isolation/seccomp/built_in.h"
#include "isolation/seccomp/filter_file.h"
#include "isolation/seccomp/install.h"
#include "programs/mote_vmm/exit_status.h"
#include "programs/mote_vmm/file_rules.h"

namespace mote::vmm {
namespace {

using seccomp::Filter;

// A thread that starts has nothing else to know them by.
struct Filters {
  bool wanted = false;
  std::optional<seccomp::FilterMap> given;  // by --seccomp-filter
};
Filters& the_filters() {
  static Filters filters;
  return filters;
}

// The filter that was given, or mote's own where a file has none, as Firecracker's have no others
// than the three that it knows.
seccomp::Program find(Filter filter) {
  const auto& given = the_filters().given;
  if (!given) return built_in(filter);
  auto found = given->find(name_of(filter));
  if (found == given->end() && filter == Filter::kServed)
    found = given->find(name_of(Filter::kVmm));
  if (found == given->end() && filter == Filter::kLaunch)
    found = given->find(name_of(Filter::kSetup));
  return found == given->end() ? built_in(filter) : seccomp::Program(found->second);
}

Result<void> take(Filter filter, bool connects = false) {
  MOTE_CHECK_WITHIN(seccomp::install(find(filter), connects), "the filter '{}'", name_of(filter));
  return {};
}

Filter filter_of(ThreadKind kind) {
  switch (kind) {
    case ThreadKind::kApi:
      return Filter::kApi;
    case ThreadKind::kVcpu:
      return Filter::kVcpu;
    case ThreadKind::kWorker:
      return Filter::kWorker;
  }
  return Filter::kWorker;
}

// Whether its guest, or a backend that comes back, makes the machine connect to a socket.
bool connects_sockets(const machine::VmConfig& config) {
  return config.vsock || std::ranges::any_of(config.drives, [](const virtio::BlockConfig& drive) {
           return drive.socket.has_value();
         });
}

// A thread that cannot be confined does nothing.
void guard(ThreadKind kind) {
  auto done = hold_thread();
  if (done && the_filters().wanted) done = take(filter_of(kind));
  if (done) return;
  log::error("{}", done.error().text());
  ::_exit(kExitError);
}

Result<seccomp::FilterMap> read_filters(const std::string& path) {
  MOTE_TRY(const UniqueFd file, open_file(path, O_RDONLY | O_NONBLOCK));
  MOTE_TRY(const std::string bytes, read_all(file.get(), seccomp::kMaxFilterFile));
  MOTE_TRY(seccomp::FilterMap filters, seccomp::parse_filters(std::as_bytes(std::span(bytes))));
  for (const Filter needed : {Filter::kVmm, Filter::kApi, Filter::kVcpu}) {
    if (filters.contains(name_of(needed))) continue;
    return fail(ErrorKind::kInvalid, "it lacks the filter '{}'", name_of(needed));
  }
  constexpr std::array kKnown{Filter::kVmm,    Filter::kApi,    Filter::kVcpu,  Filter::kSetup,
                              Filter::kLaunch, Filter::kWorker, Filter::kServed};
  for (const auto& filter : filters) {
    const std::string& name = filter.first;
    const auto is_known = [&](Filter known) { return name == name_of(known); };
    if (std::ranges::any_of(kKnown, is_known)) continue;
    return fail(
        ErrorKind::kInvalid,
        "it has a filter {}; those of mote-vmm are vmm, served, api, vcpu, setup, launch and "
        "worker",
        json::quote(name));
  }
  return filters;
}

}  // namespace

Result<void> confine(const Arguments& arguments) {
  if constexpr (kHasFilters) MOTE_CHECK(prepare_file_rules(arguments));
  if (has_file_rules()) set_thread_guard(guard);
  if (arguments.no_seccomp) return {};
  Filters& filters = the_filters();
  if (arguments.seccomp_filter) {
    auto given = read_filters(*arguments.seccomp_filter);
    if (!given) {
      return std::unexpected(
          std::move(given.error())
              .within(fmt::format("--seccomp-filter {}", json::quote(*arguments.seccomp_filter))));
    }
    filters.given = std::move(*given);
  }
  if constexpr (!kHasFilters) return {};
  filters.wanted = true;
  // What looks at the sink's file first would be too late from a thread that may not.
  log::look_at_sink();
  set_thread_guard(guard);
  return seccomp::give_up_new_privileges();
}

Result<void> confine_for_setup(bool served) {
  if (!the_filters().wanted) return {};
  return take(served ? Filter::kSetup : Filter::kLaunch);
}

Result<void> confine_further(const machine::VmConfig& config, bool served) {
  if (!the_filters().wanted) return {};
  return take(served ? Filter::kServed : Filter::kVmm, connects_sockets(config));
}

}  // namespace mote::vmm

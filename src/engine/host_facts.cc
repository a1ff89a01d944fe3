// What `mote doctor` looks at.
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "engine/doctor.h"
#include "engine/host_files.h"
#include "kvm/kvm.h"

namespace mote::engine {
namespace {

// Of 2 MiB; 0 where the kernel has none.
std::uint64_t huge_pages_in(const char* file) {
  return static_cast<std::uint64_t>(
      number_in(fmt::format("/sys/kernel/mm/hugepages/hugepages-2048kB/{}", file)).value_or(0));
}

// The choice in brackets of a line such as "always [madvise] never".
std::string chosen(const std::string& line) {
  const auto begin = line.find('[');
  const auto end = line.find(']');
  return begin == line.npos || end == line.npos || end < begin
             ? std::string()
             : line.substr(begin + 1, end - begin - 1);
}

Access access_to(const char* path) {
  const UniqueFd fd(::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (fd) return Access::kOpen;
  return errno == ENOENT || errno == ENXIO || errno == ENODEV ? Access::kMissing
                                                              : Access::kForbidden;
}

Cgroups find_cgroups() {
  struct statfs about{};
  if (::statfs("/sys/fs/cgroup", &about) != 0) return Cgroups::kNone;
  if (about.f_type == CGROUP2_SUPER_MAGIC) return Cgroups::kV2;
  struct statfs unified{};
  if (::statfs("/sys/fs/cgroup/unified", &unified) == 0 && unified.f_type == CGROUP2_SUPER_MAGIC) {
    return Cgroups::kHybrid;
  }
  return about.f_type == TMPFS_MAGIC ? Cgroups::kV1 : Cgroups::kNone;
}

bool has_userfaultfd(int flags) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | flags)));
  return static_cast<bool>(fd);
}

bool has_seccomp_filters() {
  std::uint32_t action = SECCOMP_RET_KILL_PROCESS;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int landlock_abi() {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

void look_at_capabilities(HostFacts& facts) {
  const auto kvm = kvm::Kvm::open();
  if (!kvm) return;
  facts.needed_capabilities = kvm::needed_capabilities().size();
  for (const kvm::Capability& needed : kvm::needed_capabilities()) {
    if (kvm->check(needed.number) == 0) facts.missing_capabilities.emplace_back(needed.name);
  }
}

}  // namespace

HostFacts gather_facts() {
  HostFacts facts;
  facts.kvm_device = access_to("/dev/kvm");
  facts.kvm = kvm::probe();
  look_at_capabilities(facts);
  facts.cgroups = find_cgroups();
  facts.tun = access_to("/dev/net/tun");
  facts.huge_pages = huge_pages_in("nr_hugepages");
  facts.free_huge_pages = huge_pages_in("free_hugepages");
  facts.transparent_huge_pages =
      chosen(first_line("/sys/kernel/mm/transparent_hugepage/enabled").value_or(""));
  facts.userfaultfd_for_all = has_userfaultfd(0);
  facts.userfaultfd_for_user = has_userfaultfd(UFFD_USER_MODE_ONLY);
  facts.userfaultfd_device = access_to("/dev/userfaultfd");
  facts.landlock_abi = landlock_abi();
  facts.seccomp_filters = has_seccomp_filters();
  facts.locked_memory = limit_of(RLIMIT_MEMLOCK);
  facts.open_files = limit_of(RLIMIT_NOFILE);
  return facts;
}

}  // namespace mote::engine

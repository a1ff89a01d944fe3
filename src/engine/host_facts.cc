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

#include <charconv>

#include "base/unique_fd.h"
#include "engine/doctor.h"
#include "kvm/kvm.h"

namespace mote::engine {
namespace {

// The beginning of a small file of /proc or /sys; empty where there is none.
std::string read_small(const char* path) {
  const auto file = open_file(path, O_RDONLY);
  if (!file) return {};
  const auto text = read_all(file->get(), 4096);
  return text ? *text : std::string();
}

std::uint64_t read_number(const char* path) {
  const std::string text = read_small(path);
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
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

std::uint64_t limit_of(int resource) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
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
  facts.huge_pages = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
  facts.free_huge_pages = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  facts.transparent_huge_pages = chosen(read_small("/sys/kernel/mm/transparent_hugepage/enabled"));
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

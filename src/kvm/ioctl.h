// One way to call an ioctl and to say which one failed.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/result.h"

namespace mote::kvm {

// ioctl(2) whose failure is an Error "<name>: <errno>"; its result otherwise. `name` is the
// request's own name.
template <typename Argument>
Result<int> checked_ioctl(int fd, unsigned long request, const char* name, Argument argument) {
  const int result = ::ioctl(fd, request, argument);
  if (result < 0) return fail_errno(errno, "{}", name);
  return result;
}

// `request` with the size of its argument replaced. Requests carry it, and a structure that ends in
// an open array has 1 byte more in C++ than in C, rounded up, in the kernel headers that declare
// the array behind an empty struct.
constexpr unsigned long with_size(unsigned long request, unsigned long size) {
  return (request & ~static_cast<unsigned long>(IOCSIZE_MASK)) | size << IOCSIZE_SHIFT;
}

// Those requests as C sees them.
inline constexpr unsigned long kGetSupportedCpuid = with_size(KVM_GET_SUPPORTED_CPUID, 8);
inline constexpr unsigned long kSetCpuid2 = with_size(KVM_SET_CPUID2, 8);
inline constexpr unsigned long kGetCpuid2 = with_size(KVM_GET_CPUID2, 8);
inline constexpr unsigned long kGetMsrs = with_size(KVM_GET_MSRS, 8);
inline constexpr unsigned long kSetMsrs = with_size(KVM_SET_MSRS, 8);
inline constexpr unsigned long kGetMsrIndexList = with_size(KVM_GET_MSR_INDEX_LIST, 4);
inline constexpr unsigned long kXsaveSize = 4096;  // of kvm_xsave without its open array
inline constexpr unsigned long kGetXsave = with_size(KVM_GET_XSAVE, kXsaveSize);
inline constexpr unsigned long kGetXsave2 = with_size(KVM_GET_XSAVE2, kXsaveSize);
inline constexpr unsigned long kSetXsave = with_size(KVM_SET_XSAVE, kXsaveSize);

}  // namespace mote::kvm

#define MOTE_IOCTL(fd, request, argument) \
  ::mote::kvm::checked_ioctl((fd), (request), #request, (argument))

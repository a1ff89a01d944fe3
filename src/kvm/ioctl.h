// One way to call an ioctl and to say which one failed.
#pragma once

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

}  // namespace mote::kvm

#define MOTE_IOCTL(fd, request, argument) \
  ::mote::kvm::checked_ioctl((fd), (request), #request, (argument))

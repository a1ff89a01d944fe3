// A zygote is a process that has been started once and becomes many monitors, each by fork(2): that
// takes less than half of what starting a program does. It is meant for the children of one fork of
// a microVM, which share their guest's memory: processes that come from one zygote have their
// programs, heaps and stacks at the same addresses, so those of strangers should not.
//
// Its starter has the other end of a socket (SOCK_SEQPACKET). Each message asks for a monitor: its
// words after the program's name, each ended by a byte of 0, at most kMostWords bytes; beside them
// (SCM_RIGHTS) descriptors for its standard input, output and error. The answer is a ZygoteAnswer,
// and beside it a pidfd of the monitor. What else the zygote was started with is open in each
// monitor too, under the same number.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <span>

#include "base/result.h"

namespace mote::vmm {

// What a monitor does with its words; its exit status.
using MonitorMain = std::function<int(std::span<const char* const> words)>;

inline constexpr std::size_t kMostWords = 128 << 10;

struct ZygoteAnswer {
  int error = 0;   // an errno: why there is no monitor; 0: there is one
  pid_t pid = -1;  // the monitor's, its own until the next question, whatever it does
};

// Serves `socket` until its other end is closed. In a monitor it does not return: the process ends
// with what `live` returns. With one thread, and no filter: it reads nothing but its starter's
// messages. Errors: `socket` is none.
Result<void> serve_zygote(int socket, const MonitorMain& live);

}  // namespace mote::vmm

// The heap of this process as memory that must not get onto a disk: a swap partition or a core
// file.
#pragma once

#include "base/result.h"

namespace mote {

// Remembers where the heap begins. Early in main(), before anything is allocated that matters;
// without it lock_heap() does nothing.
void note_heap_start();

// Keeps the heap as it is now, and what of it will be touched, in memory (mlock2(2)); what it grows
// by later needs another call. Errors: RLIMIT_MEMLOCK is too small, and what else mlock2() says.
Result<void> lock_heap();

}  // namespace mote

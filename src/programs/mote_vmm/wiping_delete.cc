// What this process frees, it wipes: metadata, tokens and what else came over the API must not be
// found in memory that is put to another use. Replaces the C++ library's operators
// ([replacement.functions]), whose other forms all come down to these two. Not with sanitizers,
// which bring their own.
#include <malloc.h>
#include <string.h>

#include <cstdlib>
#include <new>

namespace {

void wipe_and_free(void* memory) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void operator delete(void* memory) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { wipe_and_free(memory); }

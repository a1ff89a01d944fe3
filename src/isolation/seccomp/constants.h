/* Names of the kernel's headers and their numbers, for tables of rules. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct MoteConstant {
  const char* name;
  uint64_t value;
};
extern const struct MoteConstant mote_constants[];
extern const size_t mote_constant_count;

#ifdef __cplusplus
}
#endif

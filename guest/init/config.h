// What mote-init is told: the records that `mote run` lays into the initramfs as /mote/config. Each
// is `key=value` with a NUL byte behind it; values are bytes, kept as they come.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { kMaxHostName = 64, kConfigErrorSize = 256 };

// Strings point into the text that config_parse() was given; a null string was not given.
struct Config {
  const char** args;    // the command, at least one word, ended by a null pointer
  const char** env;     // K=V, ended by a null pointer
  const char* workdir;  // absolute
  const char* root;     // a block device under /dev; null: the command runs in the initramfs itself
  const char* rootfs;   // its filesystem: ext4, squashfs or erofs; null: each is tried
  const char* hostname;    // 1 to kMaxHostName characters
  const char* term;        // TERM of a command with a terminal
  bool tty;                // the command gets a terminal instead of pipes
  uint16_t rows, columns;  // of the terminal; 0: unknown
  bool has_user;
  uid_t uid;
  gid_t gid;         // as uid where the configuration names no group
  uint64_t time_ns;  // the time at launch since 1970 in UTC; 0: not told
};

// Reads `size` bytes of `text`, which must outlive `config`. On failure returns false and leaves in
// `error` what is wrong and what would be right. config_free() is due in both cases.
bool config_parse(const char* text, size_t size, struct Config* config,
                  char error[kConfigErrorSize]);
void config_free(struct Config* config);

#ifdef __cplusplus
}
#endif

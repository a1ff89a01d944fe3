// The guest's tree of mounts: the kernel's own filesystems, and a writable root over a read-only
// disk.
#pragma once

#include "config.h"

// Mounts /proc, /sys and /dev of the initramfs, and makes the console the standard streams where
// the kernel could not.
void mount_early(void);

// Mounts the configured disk read-only, lays a tmpfs over it and makes both the root directory;
// /proc, /sys and /dev move along. Without a configured disk the root stays as it is. Dies with a
// message when that cannot be done.
void enter_root(const struct Config* config);

// What programs expect of a running system: /dev/pts, /dev/shm, /dev/fd, /run, /tmp, control
// groups.
void mount_late(void);

// Makes a directory and those above it. Returns 0, or -1 with errno.
int make_directories(const char* path);

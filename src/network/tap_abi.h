// The kernel's description of a tap, and what the headers of Debian 12 do not have of it yet.
#pragma once

#include <linux/if.h>      // IWYU pragma: export
#include <linux/if_tun.h>  // IWYU pragma: export

// UDP segmentation, since Linux 6.2. A kernel without it refuses the bits.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

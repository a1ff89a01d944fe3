// The kernel's description of a split ring, without its helpers for drivers, which are C.
#pragma once

#ifndef VIRTIO_RING_NO_LEGACY
#define VIRTIO_RING_NO_LEGACY
#endif
#include <linux/virtio_config.h>  // IWYU pragma: export
#include <linux/virtio_ring.h>    // IWYU pragma: export

// The kernel's description of a network device, which is C: one member there is called "class".
#pragma once

#include <linux/if_ether.h>
#include <linux/virtio_config.h>
#include <linux/virtio_types.h>

#define class class_
#include <linux/virtio_net.h>  // IWYU pragma: export
#undef class

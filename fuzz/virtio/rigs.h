// All rigs of virtio devices.
#pragma once

#include "fuzz/virtio/balloon.h"
#include "fuzz/virtio/block.h"
#include "fuzz/virtio/console.h"
#include "fuzz/virtio/mem.h"
#include "fuzz/virtio/net.h"
#include "fuzz/virtio/pmem.h"
#include "fuzz/virtio/rng.h"
#include "fuzz/virtio/vsock.h"

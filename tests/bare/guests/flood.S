/* Writes to the serial port for ever, and between two lines lies to the first virtio-mmio device about where its ring is. */
#include "pvh.inc"
#include "virtio.inc"
    virtio_functions
    .text
main:
    call virtio_find
1:  test %ebx, %ebx
    jz 2f
    call virtio_reset
    movl $0xfffff000, queue_desc
    movl $0xffffffff, queue_desc + 4
    call virtio_start
2:  say "an endless line of a guest that wants to fill the host's disk ....\n"
    jmp 1b

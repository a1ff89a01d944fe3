/* Lies to the first virtio-mmio device in every way a driver can, with a reset between two lies, and prints after each what
   became of the device: a line `case=NAME status=... used=...`. The device must ask for a reset where the ring lies, bear
   the rest, and serve an honest request at the end. `queue=N` on the command line: by its queue N, not the first. */
#include "pvh.inc"
#include "virtio.inc"
    virtio_functions

    .set SECTOR, 512
    .set KICKS, 20000

    .macro begin name
    say "case=\name"
    call virtio_reset
    descriptor 0, header, 16, DESC_NEXT, 1
    descriptor 1, data, SECTOR, DESC_NEXT | DESC_WRITE, 2
    descriptor 2, status, 1, DESC_WRITE, 0
    .endm

    .macro finish                      /* starts the device, offers the chain at descriptor 0, reports */
    call virtio_start
    xor %eax, %eax
    call virtio_offer
    call report
    .endm

    .macro wild_ring name, variable
    begin \name
    movl $0xfffff000, \variable
    movl $0xffffffff, \variable + 4
    finish
    begin \name\()_beyond_memory
    movl $0x20000000, \variable + 4
    finish
    begin \name\()_misaligned
    incl \variable
    finish
    .endm

    .text
main:
    cmdline_after "queue="
    test %esi, %esi
    jz 1f
    call decimal
    mov %eax, queue_index
1:  call virtio_find
    test %ebx, %ebx
    jnz 1f
    say "no device\n"
    reset
1:  call lies_about_rings
    call lies_in_chains
    call lies_in_indirect_tables
    call lies_in_registers
    begin "honest"
    finish
    reset

lies_about_rings:
    wild_ring "descriptors", queue_desc
    wild_ring "available", queue_driver
    wild_ring "used", queue_device
    .irp size, 0, 3, 0x8000, 0xffffffff
    begin "queue_size_\size"
    movl $\size, queue_num
    finish
    .endr
    begin "index_jump"                 /* more available than the queue holds */
    call virtio_start
    movw $QUEUE_SIZE + 1, available + 2
    virtio_kick
    call report
    begin "head_out_of_range"
    call virtio_start
    mov $0xffff, %eax
    call virtio_offer
    call report
    ret

lies_in_chains:
    begin "loop"
    movw $0, descriptors + 30
    finish
    begin "loop_of_one"
    movw $1, descriptors + 30
    finish
    begin "next_out_of_range"
    movw $0x4000, descriptors + 30
    finish
    begin "length_4gib"
    movl $0xffffffff, descriptors + 24
    finish
    begin "length_sum"                 /* three lengths whose sum leaves 32 bits */
    descriptor 0, 0, 0x60000000, DESC_NEXT, 1
    descriptor 1, 0, 0x60000000, DESC_NEXT, 2
    descriptor 2, 0, 0x60000000, 0, 0
    finish
    begin "buffer_wild"
    movl $0xffffffff, descriptors + 20
    finish
    begin "buffer_wraps"               /* address + length leaves 64 bits */
    movl $0xffffff00, descriptors + 16
    movl $0xffffffff, descriptors + 20
    finish
    begin "buffer_in_gap"
    movl $MMIO_GAP, descriptors + 16
    finish
    begin "order"                      /* writable before readable */
    movw $DESC_NEXT | DESC_WRITE, descriptors + 12
    movw $DESC_NEXT, descriptors + 28
    finish
    begin "header_short"
    movl $3, descriptors + 8
    finish
    begin "no_status"
    movw $DESC_WRITE, descriptors + 28
    movl $0, descriptors + 24
    finish
    begin "header_only"
    movw $0, descriptors + 12
    finish
    ret

lies_in_indirect_tables:
    begin "indirect_odd"               /* not a multiple of a descriptor's size */
    descriptor 0, table, 17, DESC_INDIRECT, 0
    finish
    begin "indirect_empty"
    descriptor 0, table, 0, DESC_INDIRECT, 0
    finish
    begin "indirect_huge"
    descriptor 0, table, 0xfffffff0, DESC_INDIRECT, 0
    finish
    begin "indirect_wild"
    descriptor 0, 0xfffffff0, 32, DESC_INDIRECT, 0
    finish
    begin "indirect_nested"
    descriptor 0, table, 16, DESC_INDIRECT, 0
    movl $table, table
    movl $16, table + 8
    movl $DESC_INDIRECT, table + 12
    finish
    begin "indirect_and_next"
    descriptor 0, table, 16, DESC_INDIRECT | DESC_NEXT, 1
    finish
    ret

lies_in_registers:
    begin "features"                   /* those not offered: FEATURES_OK must not stay */
    movl $STATUS_DRIVER, STATUS(%ebx)
    movl $0, DRIVER_FEATURES_SEL(%ebx)
    movl $0xffffffff, DRIVER_FEATURES(%ebx)
    movl $1, DRIVER_FEATURES_SEL(%ebx)
    movl $0xffffffff, DRIVER_FEATURES(%ebx)
    movl $STATUS_FEATURES_OK, STATUS(%ebx)
    call report_status

    begin "kick_before_start"
    incw available + 2
    virtio_kick
    call report_status

    begin "kicks"                      /* nothing is available; queues that do not exist as well */
    call virtio_start
    mov $KICKS, %ecx
1:  virtio_kick
    dec %ecx
    jnz 1b
    movl $1, QUEUE_NOTIFY(%ebx)
    movl $7, QUEUE_NOTIFY(%ebx)
    movl $0xffffffff, QUEUE_NOTIFY(%ebx)
    xor %eax, %eax
    call virtio_offer
    call report

    begin "moved_while_live"           /* rings of a live queue do not move */
    call virtio_start
    movl $0xffffffff, QUEUE_DESC + 4(%ebx)
    movl $0xffffffff, QUEUE_DRIVER + 4(%ebx)
    movl $0xffffffff, QUEUE_DEVICE + 4(%ebx)
    movl $3, QUEUE_NUM(%ebx)
    xor %eax, %eax
    call virtio_offer
    call report

    begin "queue_unknown"
    movl $0xffff, QUEUE_SEL(%ebx)
    movl $QUEUE_SIZE, QUEUE_NUM(%ebx)
    movl $1, QUEUE_READY(%ebx)
    call report_status

    begin "widths"                     /* every offset of the window, read in each width; configuration and holes written */
    xor %ecx, %ecx
1:  movb (%ebx,%ecx), %al
    movw (%ebx,%ecx), %ax
    movl (%ebx,%ecx), %eax
    add $3, %ecx
    cmp $0xffd, %ecx
    jb 1b
    mov $CONFIG, %ecx
    xor %eax, %eax
2:  movb %al, (%ebx,%ecx)
    movw %ax, (%ebx,%ecx)
    movl %eax, (%ebx,%ecx)
    add $7, %ecx
    cmp $0xff8, %ecx
    jb 2b
    call report_status
    ret

report:                                /* waits for an answer or a complaint first */
    call virtio_wait
report_status:
    say_hex32 " status=", STATUS(%ebx)
    movzwl used + 2, %eax
    say_hex32 " used=", %eax
    say "\n"
    ret

    .section .bss
    .align 16
table:
    .skip 32
header:                                /* zeros: a read of sector 0 */
    .skip 16
data:
    .skip SECTOR
status:
    .byte 0

/* Drives the first virtio-mmio device as a block device: prints what it is and its capacity, reads sector 0, writes sector 1
   and reads it back, flushes, asks for its id, reads past its end, asks for something unknown; one line each. */
#include "pvh.inc"
#include "virtio.inc"
    virtio_functions

    .set READ, 0
    .set WRITE, 1
    .set FLUSH, 4
    .set GET_ID, 8
    .set UNKNOWN, 0x1234
    .set SECTOR, 512

    /* Request of \type on \length bytes of `data`, which the device writes when \flags has DESC_WRITE. */
    .macro request name, type, length, flags
    movl $\type, header
    movl $\length, descriptors + 24
    movl $\flags | DESC_NEXT | 2 << 16, descriptors + 28
    say "\name"
    call submit
    .endm

    .macro at_sector number
    movl \number, header + 8
    movl $0, header + 12
    .endm

    .text
main:
    call virtio_find
    test %ebx, %ebx
    jnz 1f
    say "no device\n"
    reset
1:  say_hex32 "magic=", MAGIC(%ebx)
    say_hex32 " version=", VERSION(%ebx)
    say_hex32 " id=", DEVICE_ID(%ebx)
    movl $0, QUEUE_SEL(%ebx)
    say_hex32 " queue_max=", QUEUE_NUM_MAX(%ebx)
    movl $1, DEVICE_FEATURES_SEL(%ebx)
    say_hex32 " features=", DEVICE_FEATURES(%ebx)
    movl $0, DEVICE_FEATURES_SEL(%ebx)
    mov DEVICE_FEATURES(%ebx), %eax
    call serial_hex32
    say_hex64 " capacity=", CONFIG, %ebx
    call virtio_reset
    call virtio_start
    say_hex32 " status=", STATUS(%ebx)
    say "\n"
    descriptor 0, header, 16, DESC_NEXT, 1
    descriptor 1, data, SECTOR, DESC_NEXT, 2
    descriptor 2, status, 1, DESC_WRITE, 0

    at_sector $0
    request "read", READ, SECTOR, DESC_WRITE
    call show_data
    say_hex32 "interrupt=", INTERRUPT_STATUS(%ebx)
    movl $1, INTERRUPT_ACK(%ebx)
    say_hex32 " after=", INTERRUPT_STATUS(%ebx)
    say "\n"

    call fill_data
    at_sector $1
    request "write", WRITE, SECTOR, 0
    movl $0, data
    request "reread", READ, SECTOR, DESC_WRITE
    call show_data
    at_sector $0
    movl $2 << 16 | DESC_NEXT, descriptors + 12     /* straight from the header to the status */
    request "flush", FLUSH, 0, 0
    movl $1 << 16 | DESC_NEXT, descriptors + 12
    request "id", GET_ID, 20, DESC_WRITE
    call show_data
    mov CONFIG(%ebx), %eax
    at_sector %eax
    request "beyond", READ, SECTOR, DESC_WRITE
    at_sector $0
    request "unknown", UNKNOWN, SECTOR, DESC_WRITE
    reset

submit:                                /* offers the chain, waits, prints the outcome */
    movb $0xff, status
    movzwl used + 2, %ecx
    and $QUEUE_SIZE - 1, %ecx
    xor %eax, %eax
    call virtio_offer
    call virtio_wait
    jnc 1f
    say_hex32 " no answer, status=", STATUS(%ebx)
    say "\n"
    reset
1:  movzbl status, %eax
    say_hex32 " result=", %eax
    say_hex32 " head=", used+4(,%ecx,8)
    say_hex32 " written=", used+8(,%ecx,8)
    say "\n"
    ret

show_data:                             /* the first line, or sixteen bytes, of `data` as text */
    say "data="
    mov $data, %esi
1:  movb (%esi), %al
    cmp $' ', %al
    jb 2f
    call serial_byte
    inc %esi
    cmp $data + 16, %esi
    jne 1b
2:  say "\n"
    ret

fill_data:                             /* the text, and behind it its last byte up to the sector's end */
    mov $message, %esi
    mov $data, %edi
    mov $16, %ecx
    rep movsb
    mov $SECTOR - 16, %ecx
    mov $'.', %al
    rep stosb
    ret

    .section .rodata
message:
    .ascii "written by guest"
    .section .bss
    .align 16
header:
    .skip 16
data:
    .skip SECTOR
status:
    .byte 0

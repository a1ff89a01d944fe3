/* Reads the first virtio-mmio device's sectors one by one, 1000 times, sleeping until the interrupt of each; its line is GSI 5. A sector begins
   with its number, or what is read counts as wrong. */
#include "pvh.inc"
#include "virtio.inc"
#include "apic.inc"
    virtio_functions
    apic_data

    .set LINE, 5
    .set VECTOR, 0x42
    .set READS, 1000
    .set SECTORS, 128
    .set SECTOR, 512

    .text
main:
    apic_start
    gate VECTOR, on_interrupt
    route LINE, VECTOR
    call virtio_find
    call virtio_reset
    call virtio_start
    descriptor 0, header, 16, DESC_NEXT, 1
    descriptor 1, data, SECTOR, DESC_NEXT | DESC_WRITE, 2
    descriptor 2, status, 1, DESC_WRITE, 0
    xor %edi, %edi
read:
    mov %edi, %eax
    and $SECTORS - 1, %eax
    mov %eax, header + 8
    movl $-1, data
    movb $-1, status
    xor %eax, %eax
    call virtio_offer
    inc %edi
sleep:                                 /* until as many interrupts came as reads were made */
    cli
    cmp %edi, seen
    jae 1f
    sti
    hlt
    jmp sleep
1:  movw available + 2, %ax            /* the answer is there before its interrupt */
    cmpw used + 2, %ax
    jne 2f
    mov header + 8, %eax
    cmp data, %eax
    jne 2f
    cmpb $0, status
    je 3f
2:  incl wrong
3:  cmp $READS, %edi
    jb read
    mov wrong, %eax
    say "wrong="
    call serial_hex32
    say "\n"
    reset

on_interrupt:
    incl seen
    movl $1, INTERRUPT_ACK(%ebx)
    movl $0, APIC_EOI
    add $12, %esp
    jmp sleep

    .section .bss
    .align 16
header:
    .skip 16
data:
    .skip SECTOR
seen:
    .long 0
wrong:
    .long 0
status:
    .byte 0

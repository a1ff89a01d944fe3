/* Takes interrupts through the I/O APIC: ten of the PIT (its line is pin 0, or 2 where a machine says so), and ten of COM1's "transmitter empty" (pin 4),
   sleeping in HLT between them, and prints a line after each. */
#include "pvh.inc"
#include "apic.inc"
    .set PIT_VECTOR, 0x40
    .set COM1_VECTOR, 0x41
    .set WANTED, 10

    .text
main:
    apic_start
    gate PIT_VECTOR, on_pit
    gate COM1_VECTOR, on_com1
    route 0, PIT_VECTOR
    route 2, PIT_VECTOR
    route 4, COM1_VECTOR

    mov $0x34, %al                     /* channel 0, rate generator, 1193182 / 11932 = 100 a second */
    out %al, $0x43
    mov $11932 & 255, %al
    out %al, $0x40
    mov $11932 >> 8, %al
    out %al, $0x40
    movl $WANTED, pit_left
    mov $pit_left, %edi
    call sleep
    mov $0x30, %al                     /* one-shot without a count: stops it */
    out %al, $0x43
    say "pit=done\n"

    mov $COM1 + 1, %dx
    movl $WANTED, com1_left
    mov $2, %al                        /* interrupt when the transmitter is empty, which it is */
    out %al, %dx
    mov $com1_left, %edi
    call sleep
    say "com1=done\n"
    reset

sleep:                                 /* until (%edi) is no more than 0 */
    cli
    cmpl $0, (%edi)
    jle 1f
    sti
    hlt
    jmp sleep
1:  ret

on_pit:
    decl pit_left
    jmp handled

on_com1:                               /* sends another byte, whose departure is the next interrupt, until enough came */
    mov $COM1 + 2, %dx
    in %dx, %al                        /* reading the identification register acknowledges */
    decl com1_left
    jg 1f
    mov $COM1 + 1, %dx
    xor %eax, %eax
    jmp 2f
1:  mov $COM1, %dx
    mov $'.', %al
2:  out %al, %dx
handled:
    movl $0, APIC_EOI
    add $12, %esp
    jmp sleep

    apic_data
    .section .bss
    .align 4
pit_left:
    .long 0
com1_left:
    .long 0

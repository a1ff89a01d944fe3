/* Takes interrupts through the I/O APIC: ten of the PIT (its line is pin 0, or 2 where a machine says so), and ten of COM1's "transmitter empty" (pin 4),
   sleeping in HLT between them, and prints a line after each. Interrupts are open in HLT alone, so a handler drops its frame
   and goes back to the loop: a KVM that emulates ring 0 has no IRET in protected mode. */
#include "pvh.inc"
    .set IO_APIC, 0xfec00000
    .set LOCAL_APIC, 0xfee00000
    .set APIC_EOI, LOCAL_APIC + 0xb0
    .set APIC_SPURIOUS, LOCAL_APIC + 0xf0
    .set PIT_VECTOR, 0x40
    .set COM1_VECTOR, 0x41
    .set WANTED, 10

    .macro gate vector, handler
    mov $\handler, %eax
    movw %ax, interrupts + 8 * \vector
    movw %cs, interrupts + 8 * \vector + 2
    movw $0x8e00, interrupts + 8 * \vector + 4
    shr $16, %eax
    movw %ax, interrupts + 8 * \vector + 6
    .endm

    .macro route pin, vector           /* edge, active high, to the first processor */
    movl $0x10 + 2 * \pin, IO_APIC
    movl $\vector, IO_APIC + 0x10
    movl $0x11 + 2 * \pin, IO_APIC
    movl $0, IO_APIC + 0x10
    .endm

    .text
main:
    lgdt gdt_register                  /* the loader's may be anywhere; gates need a selector that stays */
    ljmp $8, $1f
1:  mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    gate PIT_VECTOR, on_pit
    gate COM1_VECTOR, on_com1
    lidt idt_register
    movl $0x1ff, APIC_SPURIOUS
    mov $0xff, %al                     /* the old controllers stay silent */
    out %al, $0x21
    out %al, $0xa1
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

    .section .rodata
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
gdt_register:
    .word . - gdt - 1
    .long gdt
idt_register:
    .word 8 * 256 - 1
    .long interrupts
    .section .bss
    .align 8
interrupts:
    .skip 8 * 256
pit_left:
    .long 0
com1_left:
    .long 0

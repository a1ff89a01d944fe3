/* Starts the other processors with INIT and SIPI through the local APIC, waits until `cpus=N` of the command line are up or
   patience ends, and prints how many there are and which APIC ids they have. Each goes from real mode to protected mode
   before it counts, as a kernel's do. */
#include "pvh.inc"
#include "cmdline.inc"
    cmdline_functions

    .set LOCAL_APIC, 0xfee00000
    .set APIC_ID, LOCAL_APIC + 0x20
    .set APIC_SPURIOUS, LOCAL_APIC + 0xf0
    .set APIC_ICR_LOW, LOCAL_APIC + 0x300
    .set INIT_ALL_OTHERS, 0x000c4500
    .set STARTUP_ALL_OTHERS, 0x000c4600
    .set TRAMPOLINE, 0x40000           /* free low memory, page 0x40 */
    .set PATIENCE, 1 << 22             /* turns of the waiting loop, each a port access: seconds */
    .text
main:
    mov $1, %ebp
    cmdline_after "cpus="
    test %esi, %esi
    jz 1f
    call decimal
    mov %eax, %ebp
1:
    movl $1, up
    mov APIC_ID, %eax
    shr $24, %eax
    movb $1, ids(%eax)
    movl $0x1ff, APIC_SPURIOUS
    cmp $1, %ebp
    jbe report

    mov $trampoline, %esi
    mov $TRAMPOLINE, %edi
    mov $trampoline_end - trampoline, %ecx
    rep movsb
    movl $INIT_ALL_OTHERS, APIC_ICR_LOW
    mov $1000, %ecx
1:  in $0x80, %al                      /* the specification's 10 ms, roughly */
    dec %ecx
    jnz 1b
    movl $STARTUP_ALL_OTHERS + (TRAMPOLINE >> 12), APIC_ICR_LOW
    mov $PATIENCE, %ecx
2:  in $0x80, %al
    cmp up, %ebp
    je report
    dec %ecx
    jnz 2b

report:
    say_hex32 "cpus=", up
    say " ids="
    xor %ebx, %ebx
1:  cmpb $0, ids(%ebx)
    je 2f
    mov %ebx, %eax
    call serial_hex8
    say ","
2:  inc %ebx
    cmp $256, %ebx
    jne 1b
    say "\n"
    reset

    /* Copied to TRAMPOLINE; a processor starts here in real mode with %cs = TRAMPOLINE / 16. */
    .code16
trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl (gdt_register - trampoline)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $8, $other_cpu
    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff           /* 8: flat code */
    .quad 0x00cf93000000ffff           /* 16: flat data */
gdt_register:
    .word . - gdt - 1
    .long TRAMPOLINE + gdt - trampoline
trampoline_end:

    .code32
other_cpu:
    mov $16, %eax
    mov %eax, %ds
    mov APIC_ID, %eax
    shr $24, %eax
    movb $1, ids(%eax)
    lock incl up
    halt

    .section .bss
    .align 4
up:
    .long 0
ids:
    .skip 256

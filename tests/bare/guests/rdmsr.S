/* Prints MSRs as the first processor has them, a line for each of the list. */
#include "pvh.inc"
    .text
main:
    mov $msrs, %edi
1:  mov (%edi), %ecx
    say_hex32 "msr=", %ecx
    rdmsr
    say_hex32 " high=", %edx
    say_hex32 " low=", %eax
    say "\n"
    add $4, %edi
    cmp $msrs_end, %edi
    jne 1b
    reset

    .section .rodata
    .align 4
msrs:
    .long 0x8b, 0x174, 0x1a0, 0x2ff
msrs_end:

/* Prints CPUID as the guest sees it, a line for every leaf and subleaf of the list. */
#include "pvh.inc"
    .text
main:
    mov $leaves, %edi
1:  mov (%edi), %eax
    mov 4(%edi), %ecx
    say_hex32 "leaf=", %eax
    say_hex32 " subleaf=", %ecx
    cpuid
    say_hex32 " eax=", %eax
    say_hex32 " ebx=", %ebx
    say_hex32 " ecx=", %ecx
    say_hex32 " edx=", %edx
    say "\n"
    add $8, %edi
    cmp $leaves_end, %edi
    jne 1b
    reset

    .section .rodata
    .align 4
leaves:
    .long 0, 0, 1, 0, 2, 0, 4, 0, 4, 1, 4, 2, 4, 3, 5, 0, 6, 0, 7, 0, 7, 1, 0xa, 0, 0xb, 0, 0xb, 1, 0xb, 2
    .long 0xd, 0, 0xd, 1, 0x15, 0, 0x16, 0, 0x1f, 0, 0x1f, 1
    .long 0x40000000, 0, 0x40000001, 0, 0x40000010, 0
    .long 0x80000000, 0, 0x80000001, 0, 0x80000002, 0, 0x80000003, 0, 0x80000004, 0, 0x80000005, 0
    .long 0x80000006, 0, 0x80000007, 0, 0x80000008, 0, 0x8000000a, 0
    .long 0x8000001d, 0, 0x8000001d, 1, 0x8000001d, 2, 0x8000001d, 3, 0x8000001e, 0
leaves_end:

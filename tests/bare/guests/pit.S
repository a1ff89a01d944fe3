/* Reads and writes ports of one byte as it is told over COM1: 'i' and a port, below 256, reads; 'o', a port and a byte writes.
   It prints what it read, of a write the byte itself, and how many it did so far. */
#include "pvh.inc"
    .text
main:
    xor %ebp, %ebp
    say "ready\n"
1:  call serial_receive
    mov %al, %cl
    call serial_receive
    movzbl %al, %edi
    cmp $'o', %cl
    je 2f
    mov %edi, %edx
    in %dx, %al
    jmp 3f
2:  call serial_receive
    mov %edi, %edx
    out %al, %dx
3:  movzbl %al, %edi
    inc %ebp
    say_hex32 "byte=", %edi
    say_hex32 " accesses=", %ebp
    say "\n"
    jmp 1b

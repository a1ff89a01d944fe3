/* Counts what it receives, in memory and in a register, and prints both counts after every byte. A machine that is saved
   and restored between two bytes goes on where it was. */
#include "pvh.inc"
    .text
main:
    xor %ebp, %ebp
    say "ready\n"
1:  call serial_receive
    incl count
    inc %ebp
    say_hex32 "memory=", count
    say_hex32 " register=", %ebp
    say "\n"
    jmp 1b
    .section .bss
    .align 4
count:
    .long 0

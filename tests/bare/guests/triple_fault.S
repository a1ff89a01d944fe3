/* Faults with an empty interrupt table, so that the fault, the double fault and the third have no handler. */
#include "pvh.inc"
    .text
main:
    say "falling\n"
    lidt empty
    ud2
    .section .rodata
empty:
    .word 0
    .long 0

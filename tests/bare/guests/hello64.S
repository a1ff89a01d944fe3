/* hello through the 64-bit entry. */
#include "long.inc"
    .text
main:
    mov $COM1, %dx
    mov $'X', %al
    out %al, %dx
    reset_or_fault

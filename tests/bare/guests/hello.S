/* The least that shows itself: one byte on COM1, then a reset. What launches are timed with. */
#include "pvh.inc"
    .text
main:
    mov $COM1, %dx
    mov $'X', %al
    out %al, %dx
    reset_or_fault

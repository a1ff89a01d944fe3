/* hello for monitors that boot again after a reset: one byte on COM1, then ACPI S5. */
#include "pvh.inc"
    .text
main:
    mov $COM1, %dx
    mov $'X', %al
    out %al, %dx
    mov $SLEEP_CONTROL, %dx
    mov $SLEEP_S5, %al
    out %al, %dx
    halt

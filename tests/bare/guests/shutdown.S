/* ACPI S5 as a reduced-hardware machine has it: SLP_EN with the sleep type 5 into the sleep control register. */
#include "pvh.inc"
    .text
main:
    say "sleeping\n"
    mov $SLEEP_CONTROL, %dx
    mov $SLEEP_S5, %al
    out %al, %dx
    halt

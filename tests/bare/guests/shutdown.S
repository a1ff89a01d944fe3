/* ACPI S5 as a reduced-hardware machine has it: SLP_EN with the sleep type 5 into the sleep control register. */
#include "pvh.inc"
    .set SLEEP_CONTROL, 0x600
    .set SLEEP_S5, 0x34                /* SLP_TYP (bits 2 to 4) = 5, SLP_EN (bit 5) */
    .text
main:
    say "sleeping\n"
    mov $SLEEP_CONTROL, %dx
    mov $SLEEP_S5, %al
    out %al, %dx
    halt

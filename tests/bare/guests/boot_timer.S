/* Writes the boot-complete value to the boot timer, the first page of the gap for 32-bit MMIO. */
#include "pvh.inc"
    .set BOOT_TIMER, 0xc0000000
    .text
main:
    movb $123, BOOT_TIMER
    say "booted\n"
    reset

/* Halts for ever, with interrupts off: what footprints are measured with. */
#include "pvh.inc"
    .text
main:
    halt

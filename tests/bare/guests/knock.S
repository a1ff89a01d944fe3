/* Opens the back door of a monitor that is built with one (tests/isolation/backdoor), and halts for ever. */
#include "pvh.inc"
    .set BACKDOOR, 0x5fd
    .text
main:
    mov $BACKDOOR, %dx
    out %al, %dx
    halt

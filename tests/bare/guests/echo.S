/* Sends back what COM1 receives, until it has sent back a `q`; then resets. */
#include "pvh.inc"
    .text
main:
    say "ready\n"
1:  call serial_receive
    call serial_byte
    cmp $'q', %al
    jne 1b
    reset

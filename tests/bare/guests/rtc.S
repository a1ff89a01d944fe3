/* Reads the CMOS clock: a line with the registers 0 (seconds) to 0x0d as they are. */
#include "pvh.inc"
    .text
main:
    say "rtc="
    xor %ecx, %ecx
1:  mov %cl, %al
    out %al, $0x70
    in $0x71, %al
    call serial_hex8
    inc %ecx
    cmp $14, %ecx
    jne 1b
    say "\n"
    reset

/* A console driver that polls: 64 KiB of lines, each byte after the line status. Then it waits for its keyboard's reader
   by polling, and at last prints without looking at any register and stops for ever, so that no exit follows. */
#include "pvh.inc"
    .text
main:
    mov $1024, %ebp
1:  say_hex32 "line=", %ebp
    say " ................................................\n"
    dec %ebp
    jnz 1b
    say "ready\n"
    call serial_receive
    mov $last, %esi
    mov $(last_end - last), %ecx
    mov $COM1, %dx
    rep outsb
    halt
    .section .rodata
last:
    .ascii "last words\n"
last_end:

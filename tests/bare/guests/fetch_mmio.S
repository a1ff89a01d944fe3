/* Jumps to an address where nothing is: KVM cannot fetch an instruction from a device and gives up (an internal error). */
#include "pvh.inc"
    .text
main:
    say "jumping\n"
    mov $0xd1000000, %eax
    jmp *%eax

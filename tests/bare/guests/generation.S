/* Writes to 64 MiB of memory, a word a page, says "ready", and then does nothing but look at its generation ID, which is
   another as soon as it goes on in another machine: it prints an X then, by one of its first instructions there, and
   halts, so that it is in nobody's way. */
#include "pvh.inc"
    .set GENERATION, 0xe0040           /* layout.h: kVmGenId */
    .set FIRST, 32 << 20
    .set LAST, 96 << 20
    .text
main:
    mov $FIRST, %edi
1:  mov %edi, (%edi)
    add $4096, %edi
    cmp $LAST, %edi
    jb 1b
    say "ready\n"
    mov GENERATION, %ebx
2:  pause
    mov GENERATION, %eax
    cmp %ebx, %eax
    je 2b
    mov $0x3f8, %dx
    mov $'X', %al
    out %al, %dx
3:  hlt
    jmp 3b

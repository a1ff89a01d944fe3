/* Writes a word into every page of memory from 64 MiB on, when it receives `f` up to 1 GiB, and with any other byte into a hundredth of
   that; then prints `done`. */
#include "pvh.inc"
    .set BEGIN, 64 << 20
    .set END, 1024 << 20
    .set HUNDREDTH, BEGIN + (END - BEGIN) / 100
    .text
main:
    say "ready\n"
1:  call serial_receive
    mov $HUNDREDTH, %ecx
    cmp $'f', %al
    jne 2f
    mov $END, %ecx
2:  mov $BEGIN, %edi
    inc %ebp
3:  mov %ebp, (%edi)
    add $4096, %edi
    cmp %ecx, %edi
    jb 3b
    say "done\n"
    jmp 1b

/* Port accesses of every width to ports that nothing answers, and wide, straddling and string accesses to ports that
   something does. Reads of nothing give all ones; nothing here may end the machine. */
#include "pvh.inc"
    .set NOTHING, 0x2000
    .text
main:
    mov $NOTHING, %dx
    xor %eax, %eax
    in %dx, %al
    say_hex32 "in8=", %eax
    xor %eax, %eax
    in %dx, %ax
    say_hex32 " in16=", %eax
    xor %eax, %eax
    in %dx, %eax
    say_hex32 " in32=", %eax
    out %al, %dx
    out %ax, %dx
    out %eax, %dx

    mov $buffer, %edi                  /* a string of reads */
    mov $4, %ecx
    rep insl
    say_hex32 " ins=", buffer+12
    mov $buffer, %esi
    mov $4, %ecx
    rep outsl
    say "\n"

    /* Every port but those that end the machine or speak (the keyboard controller, COM1 and COM2, sleep and exit), read
       in each width at steps of 97, written with 0 in each width at steps of 509. */
    xor %edx, %edx
1:  in %dx, %al
    in %dx, %ax
    in %dx, %eax
    add $97, %edx
    cmp $0x10000, %edx
    jb 1b
    mov $0x1000, %edx
2:  xor %eax, %eax
    out %al, %dx
    out %ax, %dx
    out %eax, %dx
    add $509, %edx
    cmp $0x10000, %edx
    jb 2b

    /* Wide accesses that begin on or reach into a chip with registers of a byte. */
    mov $list, %esi
3:  movzwl (%esi), %edx
    test %edx, %edx
    jz 4f
    in %dx, %ax
    in %dx, %eax
    add $2, %esi
    jmp 3b
4:  say "done\n"
    reset

    .section .rodata
    .align 2
list:
    .word 0x3f6, 0x3f7, 0x3f8, 0x3fd, 0x3ff, 0x2f7, 0x2ff, 0x60, 0x63, 0x64, 0x6f, 0x70, 0x71, 0x4ff, 0x500, 0x501
    .word 0x5ff, 0x600, 0x601, 0x604, 0xcf8, 0xcfc, 0xfffe, 0xffff, 0
    .section .bss
    .align 4
buffer:
    .skip 16

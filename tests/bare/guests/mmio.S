/* Memory accesses of every width where neither memory nor a device is, below 4 GiB, across a page's end and far above the
   memory. Reads give all ones; nothing here may end the machine. The guest maps what it touches with page tables of its own,
   since the loader's reach no further than the first GiB. */
#include "long.inc"
    .set LOW, 0xd1000000
    .set HIGH, 1 << 36                 /* 64 GiB */
    .set PRESENT_WRITABLE, 3
    .set HUGE_UNCACHED, 0x93           /* present, writable, cache disabled, 2 MiB */
    .text
main:
    call map
    mov $LOW, %ebx
    call probe
    mov $LOW + 0xffd, %ebx             /* two to eight bytes from here cross into the next page */
    call probe
    mov $HIGH, %rbx
    call probe
    say "done\n"
    reset

probe:                                 /* reads and writes of 1, 2, 4, 8 bytes at %rbx */
    mov %ebx, %eax
    say_hex32 "at=", %eax
    xor %eax, %eax
    movb (%rbx), %al
    say_hex32 " read8=", %eax
    xor %eax, %eax
    movw (%rbx), %ax
    say_hex32 " read16=", %eax
    movl (%rbx), %eax
    say_hex32 " read32=", %eax
    movq (%rbx), %rax
    mov %rax, wide
    mov $wide, %edi
    say_hex64 " read64=", 0, %edi
    say "\n"
    xor %eax, %eax
    movb %al, (%rbx)
    movw %ax, (%rbx)
    movl %eax, (%rbx)
    movq %rax, (%rbx)
    ret

map:                                   /* 0 to 4 GiB and 1 GiB at HIGH, one to one, in pages of 2 MiB */
    movq $low_tables + PRESENT_WRITABLE, level4
    mov $level2, %edi
    mov $low_tables, %esi
    mov $HUGE_UNCACHED, %eax
    mov $4, %ecx
    call map_gibs
    movabs $(HIGH + HUGE_UNCACHED), %rax
    mov $low_tables + 8 * (HIGH >> 30), %esi
    mov $1, %ecx
    call map_gibs
    mov $level4, %eax
    mov %rax, %cr3
    ret

map_gibs:                              /* %ecx tables at %rdi, entered at %rsi, the first page being %rax; all advance */
    lea PRESENT_WRITABLE(%rdi), %rdx
    mov %rdx, (%rsi)
    add $8, %rsi
    mov $512, %edx
1:  mov %rax, (%rdi)
    add $0x200000, %rax
    add $8, %rdi
    dec %edx
    jnz 1b
    dec %ecx
    jnz map_gibs
    ret

    .section .bss
    .align 4096
level4:
    .skip 4096
low_tables:                            /* level 3 */
    .skip 4096
level2:
    .skip 5 * 4096
wide:
    .quad 0

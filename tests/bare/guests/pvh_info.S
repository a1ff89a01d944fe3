/* What a PVH loader hands over: the start info, its memory map, modules and command line, and the processor's state. */
#include "pvh.inc"
    .text
main:
    say_hex32 "magic=", START_INFO_MAGIC(%ebx)
    say_hex32 " version=", START_INFO_VERSION(%ebx)
    say_hex32 " flags=", START_INFO_FLAGS(%ebx)
    say_hex64 " rsdp=", START_INFO_RSDP, %ebx
    say_hex32 " cr0=", %cr0
    say_hex32 " cr4=", %cr4
    say "\ncmdline="
    mov START_INFO_CMDLINE(%ebx), %esi
    call serial_text
    say "\n"
    call memory_map
    call modules
    reset

memory_map:
    mov START_INFO_MEMMAP(%ebx), %edi
    mov START_INFO_MEMMAP_ENTRIES(%ebx), %ebp
1:  test %ebp, %ebp
    jz 2f
    say_hex64 "memory=", 0, %edi
    say_hex64 " size=", 8, %edi
    say_hex32 " type=", 16(%edi)
    say "\n"
    add $24, %edi
    dec %ebp
    jmp 1b
2:  ret

modules:                               /* each with its first and last four bytes, which prove that it is there */
    mov START_INFO_MODLIST(%ebx), %edi
    mov START_INFO_NR_MODULES(%ebx), %ebp
1:  test %ebp, %ebp
    jz 2f
    say_hex64 "module=", 0, %edi
    say_hex64 " size=", 8, %edi
    mov (%edi), %esi
    say_hex32 " first=", (%esi)
    add 8(%edi), %esi
    say_hex32 " last=", -4(%esi)
    say "\n"
    add $32, %edi
    dec %ebp
    jmp 1b
2:  ret

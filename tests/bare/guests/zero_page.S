/* What a loader of the 64-bit entry hands over: the fields of the zero page (Linux, Documentation/arch/x86/zero-page.rst and
   boot.rst) and the processor's state. */
#include "long.inc"
    .set ACPI_RSDP, 0x070
    .set E820_ENTRIES, 0x1e8
    .set BOOT_FLAG, 0x1fe
    .set HEADER, 0x202
    .set LOADER, 0x210
    .set RAMDISK_IMAGE, 0x218
    .set RAMDISK_SIZE, 0x21c
    .set CMD_LINE_PTR, 0x228
    .set E820_TABLE, 0x2d0
    .text
main:
    mov %esi, %ebx
    movzwl BOOT_FLAG(%ebx), %eax
    say_hex32 "boot_flag=", %eax
    say_hex32 " header=", HEADER(%ebx)
    movzbl LOADER(%ebx), %eax
    say_hex32 " loader=", %eax
    say_hex64 " rsdp=", ACPI_RSDP, %ebx
    mov %cr0, %rax
    say_hex32 " cr0=", %eax
    mov %cr4, %rax
    say_hex32 " cr4=", %eax
    say "\ncmdline="
    mov CMD_LINE_PTR(%ebx), %esi
    call serial_text
    say "\n"

    lea E820_TABLE(%ebx), %edi
    movzbl E820_ENTRIES(%ebx), %ebp
1:  test %ebp, %ebp
    jz 2f
    say_hex64 "memory=", 0, %edi
    say_hex64 " size=", 8, %edi
    say_hex32 " type=", 16(%edi)
    say "\n"
    add $20, %edi
    dec %ebp
    jmp 1b

2:  mov RAMDISK_SIZE(%ebx), %ecx
    test %ecx, %ecx
    jz 3f
    mov RAMDISK_IMAGE(%ebx), %esi
    say_hex32 "ramdisk=", %esi
    say_hex32 " size=", %ecx
    say_hex32 " first=", (%esi)
    add %ecx, %esi
    say_hex32 " last=", -4(%esi)
    say "\n"
3:  reset

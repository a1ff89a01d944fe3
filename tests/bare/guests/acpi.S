/* Walks the ACPI tables from the start info's RSDP and prints, for each, its signature, length and the sum of its bytes
   (a checksum that is right makes it 0); of the FADT also the fields that a reduced-hardware machine sleeps by. */
#include "pvh.inc"
    .set XSDT_OF_RSDP, 24
    .set TABLE_LENGTH, 4
    .set TABLE_HEADER, 36
    .set FADT_FLAGS, 112
    .set FADT_X_DSDT, 140
    .set FADT_SLEEP_CONTROL, 244       /* a generic address: space, width, offset, access size, 64-bit address */
    .text
main:
    mov START_INFO_RSDP(%ebx), %edi
    test %edi, %edi
    jz none
    say_hex64 "rsdp=", 0, %edi         /* "RSD PTR " */
    mov $20, %ecx
    call sum
    say " sum20="
    call serial_hex8
    mov $36, %ecx
    call sum
    say " sum36="
    call serial_hex8
    say "\n"
    mov XSDT_OF_RSDP(%edi), %edi
    call table
    mov TABLE_LENGTH(%edi), %ebp
    sub $TABLE_HEADER, %ebp
    shr $3, %ebp
    lea TABLE_HEADER(%edi), %esi
1:  test %ebp, %ebp
    jz 2f
    mov (%esi), %edi
    call table
    cmpl $0x50434146, (%edi)           /* "FACP" */
    jne 3f
    call fadt
3:  add $8, %esi
    dec %ebp
    jmp 1b
none:
    say "no rsdp\n"
2:  reset

table:                                 /* prints the line of the table at %edi */
    push %ecx
    say "table="
    xor %ecx, %ecx
1:  movb (%edi,%ecx), %al
    call serial_byte
    inc %ecx
    cmp $4, %ecx
    jne 1b
    say_hex32 " length=", TABLE_LENGTH(%edi)
    mov TABLE_LENGTH(%edi), %ecx
    call sum
    say " sum="
    call serial_hex8
    say "\n"
    pop %ecx
    ret

fadt:                                  /* prints the fields of the FADT at %edi, then the DSDT's line */
    say_hex32 "fadt flags=", FADT_FLAGS(%edi)
    say_hex32 " sleep_register=", FADT_SLEEP_CONTROL(%edi)
    say_hex64 " sleep_address=", FADT_SLEEP_CONTROL+4, %edi
    say "\n"
    push %edi
    mov FADT_X_DSDT(%edi), %edi
    call table
    call vmclock
    pop %edi
    ret

vmclock:                               /* finds "AMZNC10C" in the DSDT at %edi, and prints the start of its page */
    push %edi
    mov TABLE_LENGTH(%edi), %ecx
    sub $8, %ecx
1:  cmpl $0x4e5a4d41, (%edi)
    jne 2f
    cmpl $0x43303143, 4(%edi)
    je 3f
2:  inc %edi
    dec %ecx
    jnz 1b
    jmp 9f
3:  cmpl $0x01000986, (%edi)           /* a 32-bit memory resource: tag, length, read and write; its base is behind */
    je 4f
    inc %edi
    dec %ecx
    jnz 3b
9:  say "no vmclock\n"
    pop %edi
    ret
4:  mov 4(%edi), %edi
    say_hex32 "vmclock magic=", 0(%edi)
    say_hex32 " size=", 4(%edi)
    say_hex32 " sequence=", 12(%edi)
    say_hex32 " flags=", 24(%edi)
    say "\n"
    pop %edi
    ret

sum:                                   /* %al = the sum of %ecx bytes at %edi */
    push %edi
    xor %eax, %eax
1:  addb (%edi), %al
    inc %edi
    dec %ecx
    jnz 1b
    pop %edi
    ret

/* The guest of probe.cc: 64-bit code at GUEST_CODE with a page mapped at its own address. Two entries, each ending in
   HLT. `stage` tells how far the first one came. */
#include "kvm/probe_guest.h"

    .section .rodata
    .code64
    .globl kProbeGuest, kProbeGuestSpeed, kProbeGuestTrap, kProbeGuestEnd
kProbeGuest:                      /* %edi: whether the processor has XSAVE */
    movl $PROBE_STAGE_CMPXCHG16B, PROBE_STAGE
    xor %eax, %eax
    xor %edx, %edx
    mov $1, %ebx
    mov $2, %ecx
    lock cmpxchg16b PROBE_PAIR         /* which holds zeros */
    jnz 2f
    movl $PROBE_STAGE_INT3, PROBE_STAGE
    int3
    cmpl $1, PROBE_TRAPS
    jne 2f
    test %edi, %edi
    jz 1f
    movl $PROBE_STAGE_XRSTOR, PROBE_STAGE
    mov $1, %eax
    xor %edx, %edx
    xsave PROBE_XSAVE
    xrstor PROBE_XSAVE
1:  movl $PROBE_STAGE_DONE, PROBE_STAGE
2:  hlt

kProbeGuestTrap:
    incl PROBE_TRAPS
    iretq

kProbeGuestSpeed:                /* two instructions for each of %ecx */
    dec %ecx
    jnz kProbeGuestSpeed
    hlt
kProbeGuestEnd:

    .section .note.GNU-stack, "", @progbits

/* What the probe and its guest agree on; also read by the assembler. Guest-physical addresses. */
#pragma once

#define PROBE_PML4 0x1000
#define PROBE_PDPT 0x2000
#define PROBE_PD 0x3000
#define PROBE_GDT 0x4000
#define PROBE_IDT 0x5000
#define PROBE_CODE 0x6000
#define PROBE_STAGE 0x7000
#define PROBE_TRAPS 0x7004
#define PROBE_PAIR 0x7010  /* 16 bytes */
#define PROBE_XSAVE 0x8000 /* a page */
#define PROBE_STACK 0xa000 /* grows down */
#define PROBE_MEMORY 0x10000

#define PROBE_STAGE_CMPXCHG16B 1
#define PROBE_STAGE_INT3 2
#define PROBE_STAGE_XRSTOR 3
#define PROBE_STAGE_DONE 4

// The members of KVM's structs that a state holds one by one, so that it can be read, compared and
// printed by name. Those that are not here (with unions or nameless structs inside) are kept as
// their bytes.
#pragma once

#include <linux/kvm.h>

#include <boost/describe/class.hpp>

// Found by argument-dependent lookup, so they stand where the structs do.
BOOST_DESCRIBE_STRUCT(kvm_cpuid_entry2, (), (function, index, flags, eax, ebx, ecx, edx))
BOOST_DESCRIBE_STRUCT(kvm_msr_entry, (), (index, data))
BOOST_DESCRIBE_STRUCT(kvm_mp_state, (), (mp_state))
BOOST_DESCRIBE_STRUCT(kvm_regs, (),
                      (rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15,
                       rip, rflags))
BOOST_DESCRIBE_STRUCT(kvm_segment, (),
                      (base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable))
BOOST_DESCRIBE_STRUCT(kvm_dtable, (), (base, limit))
BOOST_DESCRIBE_STRUCT(kvm_sregs, (),
                      (cs, ds, es, fs, gs, ss, tr, ldt, gdt, idt, cr0, cr2, cr3, cr4, cr8, efer,
                       apic_base, interrupt_bitmap))
BOOST_DESCRIBE_STRUCT(kvm_xcr, (), (xcr, value))
BOOST_DESCRIBE_STRUCT(kvm_xcrs, (), (nr_xcrs, flags, xcrs))
BOOST_DESCRIBE_STRUCT(kvm_debugregs, (), (db, dr6, dr7, flags))
BOOST_DESCRIBE_STRUCT(kvm_pit_channel_state, (),
                      (count, latched_count, count_latched, status_latched, status, read_state,
                       write_state, write_latch, rw_mode, mode, bcd, gate, count_load_time))
BOOST_DESCRIBE_STRUCT(kvm_pit_state2, (), (channels, flags))
BOOST_DESCRIBE_STRUCT(kvm_clock_data, (), (clock, flags, realtime, host_tsc))

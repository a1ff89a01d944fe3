// What glibc does in a static program before main(), without its looks at the processor and at
// GLIBC_TUNABLES.
//
// glibc chooses among its string functions by some forty CPUID instructions. Each leaves a virtual
// machine for its host, which on a host that is one itself, as in a cloud, takes as long as a
// system call does: 0.3 ms of each start, a third of what mote-vmm needs to its first answer. So
// this stands in the place of __libc_start_main(), with the same steps in the same order; the
// processor's features stay unknown, and the functions are those that every x86-64 has. What their
// large copies go by (the sizes of caches) is what glibc assumes of a processor that does not tell.
// Tunables would let whoever starts a program loosen the checks of its heap, and reading them
// before addresses are put into the program has each page that holds some mapped twice.
//
// The functions below are glibc's own, hidden ones, of one version. CMake links this only with a
// glibc whose start is known to need just these (cmake/Start.cmake); with any other, glibc starts
// the program.
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN extern char** __environ;
HIDDEN extern void* __libc_stack_end;
HIDDEN extern int __libc_enable_secure;
HIDDEN extern uintptr_t* _dl_random;  // 16 bytes from the kernel

HIDDEN void _dl_aux_init(ElfW(auxv_t) * vector);
HIDDEN void _dl_relocate_static_pie(void);
HIDDEN void __libc_setup_tls(void);
HIDDEN void __libc_early_init(_Bool initial);
HIDDEN void __libc_init_first(int argc, char** argv, char** environment);
HIDDEN void __libc_check_standard_fds(void);
HIDDEN void* _dl_debug_initialize(ElfW(Addr) base, long space);
HIDDEN int __cxa_atexit(void (*function)(void*), void* argument, void* object);

enum { kPage = 4096 };

typedef void (*Initializer)(int, char**, char**);
typedef void (*Finalizer)(void);
HIDDEN extern const Initializer __preinit_array_start[], __preinit_array_end[];
HIDDEN extern const Initializer __init_array_start[], __init_array_end[];
HIDDEN extern const Finalizer __fini_array_start[], __fini_array_end[];
HIDDEN void _init(void);
HIDDEN void _fini(void);

// By which copies and fills choose their way, in bytes: glibc's own values for an unknown
// processor. Copies from three quarters of the shared cache on go around it.
HIDDEN long __x86_data_cache_size = 32 * 1024;
HIDDEN long __x86_data_cache_size_half = 32 * 1024 / 2;
HIDDEN long __x86_shared_cache_size = 1024 * 1024;
HIDDEN long __x86_shared_cache_size_half = 1024 * 1024 / 2;
HIDDEN long __x86_shared_non_temporal_threshold = 1024 * 1024 * 3 / 4;
HIDDEN long __x86_rep_movsb_threshold = 2048;
HIDDEN long __x86_rep_stosb_threshold = 2048;
HIDDEN long __x86_rep_movsb_stop_threshold = 1024 * 1024 * 3 / 4;
HIDDEN int __x86_string_control = 0;

// Where the program lies, for libraries that it loads. It loads none, and a look into /proc costs
// 30 us. All bits set: nobody knows.
HIDDEN const char* _dl_get_origin(void) { return (const char*)-1; }

static void finalize(void* unused) {
  (void)unused;
  for (const Finalizer* it = __fini_array_end; it != __fini_array_start;) (*--it)();
  _fini();
}

static void initialize(const Initializer* from, const Initializer* to, int argc, char** argv) {
  for (; from != to; ++from) (*from)(argc, argv, __environ);
}

// Canaries of stacks, and what function pointers that the library keeps are mixed with; the lowest
// byte of a canary is 0, which ends a string. They lie at these places of a thread's block.
__attribute__((no_stack_protector)) static void set_guards(void) {
  const uintptr_t canary = _dl_random[0] & ~(uintptr_t)0xff;
  const uintptr_t mix = _dl_random[1];
  __asm__ volatile("mov %0, %%fs:0x28\n\tmov %1, %%fs:0x30" : : "r"(canary), "r"(mix) : "memory");
}

extern const ElfW(Ehdr) __ehdr_start HIDDEN;  // the linker's: where the program begins

// What can be written of the file is written to all at once, as addresses are put into it: its
// pages are had by one call for each segment (MADV_POPULATE_WRITE, Linux 5.14) in place of a fault
// for each page. A kernel that does not know it lets them come one by one. The C library's function
// would leave the error in a thread's block, which there is none of yet.
__attribute__((no_stack_protector)) static void bring_in_data(void) {
  const uintptr_t begin = (uintptr_t)&__ehdr_start;
  const ElfW(Phdr)* const headers = (const ElfW(Phdr)*)(begin + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; ++i) {
    const ElfW(Phdr)* const it = &headers[i];
    if (it->p_type != PT_LOAD || !(it->p_flags & PF_W)) continue;
    const uintptr_t from = (begin + it->p_vaddr) & ~(uintptr_t)(kPage - 1);
    long result = SYS_madvise;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(from), "S"(begin + it->p_vaddr + it->p_filesz - from),
                       "d"(MADV_POPULATE_WRITE)
                     : "rcx", "r11", "memory");
  }
}

// As the C runtime's _start calls it. Until the program is relocated, nothing may be read that
// holds an address.
__attribute__((no_stack_protector, noreturn)) int __libc_start_main(
    int (*main)(int, char**, char**), int argc, char** argv, void (*init)(void), void (*fini)(void),
    void (*loader_fini)(void), void* stack_end) {
  (void)init;
  (void)fini;
  (void)loader_fini;  // there is no loader
  bring_in_data();
  char** after = argv + argc + 1;
  __environ = after;
  __libc_stack_end = stack_end;
  while (*after != NULL) ++after;
  _dl_aux_init((ElfW(auxv_t)*)(after + 1));
  _dl_relocate_static_pie();
  __libc_setup_tls();
  set_guards();
  __libc_early_init(1);
  __libc_init_first(argc, argv, __environ);
  __cxa_atexit(finalize, NULL, NULL);
  if (__libc_enable_secure) __libc_check_standard_fds();
  initialize(__preinit_array_start, __preinit_array_end, argc, argv);
  _init();
  initialize(__init_array_start, __init_array_end, argc, argv);
  _dl_debug_initialize(0, 0);
  exit(main(argc, argv, __environ));
}

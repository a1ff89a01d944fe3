// The first process of the guest whose boot is timed: writes the byte 1 to the console, so that the
// host sees that init runs, and turns the machine off: by a restart, or by power-off where the
// command line has BENCH_END=poweroff (for monitors that would boot a restarted machine again).
// With BENCH_END=never the guest stays, idle. Without a C library, so that loading it costs
// nothing.

#include <linux/reboot.h>
#include <sys/syscall.h>

static long call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static int same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

// `stack` is as the kernel leaves it: argc, argv, a null, environment, a null.
__attribute__((used)) static void run(const long* stack) {
  const char* const* environment = (const char* const*)(stack + 1 + stack[0] + 1);
  unsigned command = LINUX_REBOOT_CMD_RESTART;
  int stay = 0;
  for (; *environment != 0; ++environment) {
    if (same(*environment, "BENCH_END=poweroff")) {
      command = LINUX_REBOOT_CMD_POWER_OFF;
    }
    stay |= same(*environment, "BENCH_END=never");
  }
  call(SYS_write, 1, (long)"\1", 1, 0);
  if (!stay) call(SYS_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, command, 0);
  for (;;) {
    call(SYS_pause, 0, 0, 0, 0);
  }
}

// NOLINTNEXTLINE(readability-identifier-naming): the linker knows it by this name
__attribute__((naked, used)) void _start(void) {
  __asm__("mov %rsp, %rdi\n\tandq $-16, %rsp\n\tcall run\n\thlt");
}

// kvm_floor: what KVM itself charges for a microVM.
//
//   kvm_floor [--memory MIB] [--hold]
//
// It makes the VM that a monitor makes for a bare guest (VM, memory slot, irqchip, PIT, one vCPU,
// in the order that costs least: the irqchip and the PIT leave an SRCU grace period behind that a
// later slot change would wait out), runs a guest whose first instruction that leaves it writes a
// byte to COM1, writes that byte to stdout, and ends. With --hold it then keeps the VM until stdin
// closes. A monitor's overhead is told as a multiple of this program's time.

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kGuestAddress = 0x1000, kSerialPort = 0x3f8, kDefaultMemoryMib = 128, kMaxMemoryMib = 3072 };

// Real mode: mov $0x3f8, %dx; mov $'X', %al; out %al, %dx; hlt
static const unsigned char kGuest[] = {0xba, 0xf8, 0x03, 0xb0, 'X', 0xee, 0xf4};

static void fail(const char* what) {
  fprintf(stderr, "kvm_floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int call(int fd, unsigned long request, void* argument, const char* name) {
  const int result = ioctl(fd, request, argument);
  if (result < 0) {
    fail(name);
  }
  return result;
}

static void add_memory(int vm, size_t size) {
  char* memory =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    fail("map guest memory");
  }
  memcpy(memory + kGuestAddress, kGuest, sizeof kGuest);
  struct kvm_userspace_memory_region region = {.slot = 0,
                                               .guest_phys_addr = 0,
                                               .memory_size = size,
                                               .userspace_addr = (unsigned long)memory};
  call(vm, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
}

static struct kvm_run* add_vcpu(int kvm, int vm, int* vcpu) {
  *vcpu = call(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
  const int size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
  struct kvm_run* run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, *vcpu, 0);
  if (run == MAP_FAILED) {
    fail("map the vCPU's run area");
  }
  struct kvm_sregs sregs;
  call(*vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  call(*vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
  struct kvm_regs regs = {.rip = kGuestAddress, .rflags = 2};
  call(*vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
  return run;
}

static void run_until_output(int vcpu, const struct kvm_run* run) {
  while (ioctl(vcpu, KVM_RUN, NULL) < 0) {
    if (errno != EINTR && errno != EAGAIN) {
      fail("KVM_RUN");
    }
  }
  if (run->exit_reason != KVM_EXIT_IO || run->io.port != kSerialPort) {
    fprintf(stderr, "kvm_floor: exit reason %u instead of output to COM1\n", run->exit_reason);
    exit(1);
  }
  if (write(STDOUT_FILENO, (const char*)run + run->io.data_offset, 1) != 1) {
    fail("write to stdout");
  }
}

int main(int argc, char** argv) {
  size_t mib = kDefaultMemoryMib;
  int hold = 0;
  for (int i = 1; i < argc; ++i) {
    char* end = NULL;
    if (strcmp(argv[i], "--hold") == 0) {
      hold = 1;
    } else if (strcmp(argv[i], "--memory") == 0 && i + 1 < argc) {
      mib = strtoul(argv[++i], &end, 10);
      if (*end != '\0' || mib == 0 || mib > kMaxMemoryMib) {
        fprintf(stderr, "kvm_floor: --memory takes 1 to %d MiB, not '%s'\n", kMaxMemoryMib,
                argv[i]);
        return 2;
      }
    } else {
      fprintf(stderr, "usage: kvm_floor [--memory MIB] [--hold]\n");
      return 2;
    }
  }
  const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) {
    fail("open /dev/kvm");
  }
  const int vm = call(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
  add_memory(vm, mib << 20);
  call(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
  struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
  call(vm, KVM_CREATE_PIT2, &pit, "KVM_CREATE_PIT2");
  int vcpu = -1;
  const struct kvm_run* run = add_vcpu(kvm, vm, &vcpu);
  run_until_output(vcpu, run);
  if (hold) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
  }
  return 0;
}

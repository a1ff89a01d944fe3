#include "kvm/probe.h"

#include <asm/processor-flags.h>
#include <signal.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>

#include "kvm/kvm.h"
#include "kvm/probe_guest.h"

extern "C" {
extern const std::byte kProbeGuest[];
extern const std::byte kProbeGuestSpeed[];
extern const std::byte kProbeGuestTrap[];
extern const std::byte kProbeGuestEnd[];
}

namespace mote::kvm {
namespace {

constexpr std::uint64_t kPresentWritable = 0x3;
constexpr std::uint64_t kLargePage = 0x80;
constexpr std::uint64_t kLongMode = 0x500;  // EFER: enabled and active
constexpr std::uint16_t kCodeSelector = 0x08;
constexpr std::uint16_t kDataSelector = 0x10;
constexpr std::uint8_t kInterruptGate = 0x8e;
constexpr std::uint32_t kCpuidFeatures = 1;
constexpr std::uint32_t kCpuidXsave = 1U << 26;  // ecx
constexpr std::uint32_t kSpeedRounds = 3;
constexpr std::uint32_t kSpeedLoops = 50'000;
constexpr std::uint32_t kInstructionsALoop = 2;
constexpr timeval kPatience{.tv_sec = 5, .tv_usec = 0};

// Interrupts KVM_RUN when the guest takes too long, for as long as it lives.
class Alarm {
 public:
  Alarm() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, &before_);
    const itimerval timer{.it_interval = kPatience, .it_value = kPatience};
    ::setitimer(ITIMER_REAL, &timer, &timer_before_);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() {
    ::setitimer(ITIMER_REAL, &timer_before_, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_{};
  itimerval timer_before_{};
};

std::uint64_t address_of(const std::byte* symbol) {
  return PROBE_CODE + static_cast<std::uint64_t>(symbol - kProbeGuest);
}

Result<void> write_guest(const memory::GuestMemory& memory) {
  MOTE_CHECK(memory.write<std::uint64_t>(PROBE_PML4, PROBE_PDPT | kPresentWritable));
  MOTE_CHECK(memory.write<std::uint64_t>(PROBE_PDPT, PROBE_PD | kPresentWritable));
  MOTE_CHECK(memory.write<std::uint64_t>(PROBE_PD, kPresentWritable | kLargePage));
  constexpr std::uint64_t kCode = 0x00af9b000000ffff;
  constexpr std::uint64_t kData = 0x00cf93000000ffff;
  MOTE_CHECK(memory.write(PROBE_GDT + kCodeSelector, kCode));
  MOTE_CHECK(memory.write(PROBE_GDT + kDataSelector, kData));
  // An interrupt gate: selector, type and the low 32 bits of the handler's address; the rest is 0.
  const std::uint64_t handler = address_of(kProbeGuestTrap);
  const std::uint64_t gate = (handler & 0xffff) | std::uint64_t{kCodeSelector} << 16 |
                             std::uint64_t{kInterruptGate} << 40 | (handler & 0xffff0000) << 32;
  MOTE_CHECK(memory.write(PROBE_IDT + 3 * 16, gate));
  return memory.write(PROBE_CODE, std::span(kProbeGuest, kProbeGuestEnd));
}

Result<void> set_registers(const Vcpu& vcpu, bool xsave, const kvm_regs& regs) {
  MOTE_TRY(kvm_sregs sregs, vcpu.sregs());
  const kvm_segment code{.base = 0,
                         .limit = 0xffffffff,
                         .selector = kCodeSelector,
                         .type = 11,
                         .present = 1,
                         .dpl = 0,
                         .db = 0,
                         .s = 1,
                         .l = 1,
                         .g = 1,
                         .avl = 0,
                         .unusable = 0,
                         .padding = 0};
  kvm_segment data = code;
  data.selector = kDataSelector;
  data.type = 3;
  data.l = 0;
  data.db = 1;
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
  sregs.gdt = {.base = PROBE_GDT, .limit = 0x17, .padding = {}};
  sregs.idt = {.base = PROBE_IDT, .limit = 4 * 16 - 1, .padding = {}};
  sregs.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_PG;
  sregs.cr3 = PROBE_PML4;
  sregs.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | (xsave ? X86_CR4_OSXSAVE : 0);
  sregs.efer = kLongMode;
  MOTE_CHECK(vcpu.set_sregs(sregs));
  return vcpu.set_regs(regs);
}

// Runs to the guest's HLT.
Result<void> run_to_halt(Vcpu& vcpu) {
  MOTE_TRY(const RunOutcome outcome, vcpu.run());
  if (outcome == RunOutcome::kInterrupted) {
    return fail(ErrorKind::kUnsupported, "it came to no end within {} s", kPatience.tv_sec);
  }
  switch (const std::uint32_t reason = vcpu.shared().exit_reason) {
    case KVM_EXIT_HLT:
      return {};
    case KVM_EXIT_SHUTDOWN:
      return fail(ErrorKind::kUnsupported, "triple fault");
    case KVM_EXIT_INTERNAL_ERROR:
      return fail(ErrorKind::kUnsupported, "KVM could not emulate it, internal error {}",
                  vcpu.shared().internal.suberror);
    default:
      return fail(ErrorKind::kUnsupported, "unexpected exit {}", reason);
  }
}

Result<void> check_instructions(Vcpu& vcpu, const memory::GuestMemory& memory, bool xsave) {
  kvm_regs regs{};
  regs.rip = PROBE_CODE;
  regs.rsp = PROBE_STACK;
  regs.rflags = X86_EFLAGS_FIXED;
  regs.rdi = xsave ? 1 : 0;
  MOTE_CHECK(set_registers(vcpu, xsave, regs));
  const auto ran = run_to_halt(vcpu);
  MOTE_TRY(const auto stage, memory.read<std::uint32_t>(PROBE_STAGE));
  if (ran && stage == PROBE_STAGE_DONE) return {};
  constexpr std::array kStages{"an instruction", "cmpxchg16b", "int3", "xsave or xrstor", "hlt"};
  const char* const failed = kStages[std::min<std::size_t>(stage, kStages.size() - 1)];
  if (ran) return fail(ErrorKind::kUnsupported, "{} does wrong in ring 0", failed);
  return fail(ErrorKind::kUnsupported, "{} fails in ring 0 ({})", failed, ran.error().text());
}

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Millions of instructions a second, the best of some rounds; of this thread's processor time, so
// that a busy host makes no difference.
Result<std::uint32_t> measure_speed(Vcpu& vcpu) {
  std::uint64_t best = 0;
  for (std::uint32_t round = 0; round < kSpeedRounds; ++round) {
    kvm_regs regs{};
    regs.rip = address_of(kProbeGuestSpeed);
    regs.rflags = X86_EFLAGS_FIXED;
    regs.rcx = kSpeedLoops;
    MOTE_CHECK(vcpu.set_regs(regs));
    const auto began = cpu_time();
    MOTE_CHECK_WITHIN(run_to_halt(vcpu), "a loop in ring 0");
    const auto nanoseconds = std::max<std::int64_t>((cpu_time() - began).count(), 1);
    constexpr std::uint64_t kInstructions = std::uint64_t{kSpeedLoops} * kInstructionsALoop;
    best = std::max(best, kInstructions * 1000 / static_cast<std::uint64_t>(nanoseconds));
  }
  return static_cast<std::uint32_t>(best);
}

Result<std::uint32_t> run_guest(const Kvm& kvm) {
  MOTE_TRY(const Vm vm, kvm.create_vm());
  MOTE_TRY(const auto memory,
           memory::GuestMemory::create({.ranges = {{.start = 0, .size = PROBE_MEMORY}}}));
  MOTE_CHECK(vm.set_memory(memory, false));
  MOTE_TRY(Vcpu vcpu, vm.create_vcpu(0));
  MOTE_TRY(const auto cpuid, kvm.supported_cpuid());
  MOTE_CHECK(vcpu.set_cpuid(cpuid));
  const auto features = std::ranges::find(cpuid, kCpuidFeatures, &kvm_cpuid_entry2::function);
  const bool xsave = features != cpuid.end() && (features->ecx & kCpuidXsave) != 0;
  MOTE_CHECK(write_guest(memory));
  const Alarm alarm;
  // Speed first: its loop needs nothing but arithmetic, so there is a figure in any case.
  kvm_regs regs{};
  regs.rflags = X86_EFLAGS_FIXED;
  MOTE_CHECK(set_registers(vcpu, xsave, regs));
  MOTE_TRY(const std::uint32_t mips, measure_speed(vcpu));
  if (const auto checked = check_instructions(vcpu, memory, xsave); !checked) {
    return fail(ErrorKind::kUnsupported, "{}, and it does {} million instructions a second",
                checked.error().text(), mips);
  }
  return mips;
}

}  // namespace

ProbeResult probe(const std::string& path) {
  const auto kvm = Kvm::open(path);
  if (!kvm) {
    const bool absent = kvm.error().kind() == ErrorKind::kNotFound;
    return {.usability = absent ? Usability::kAbsent : Usability::kUnusable,
            .reason = kvm.error().text()};
  }
  if (const auto able = kvm->require_capabilities(); !able) {
    return {.usability = Usability::kUnusable, .reason = able.error().text()};
  }
  const auto mips = run_guest(*kvm);
  if (!mips) {
    return {.usability = Usability::kUnusable,
            .reason = "there is no hardware behind it: " + mips.error().text()};
  }
  if (*mips < kLeastRing0Mips) {
    return {.usability = Usability::kUnusable,
            .reason = fmt::format("there is no hardware behind it: it does {} million instructions "
                                  "a second in ring 0, where a "
                                  "processor that virtualises does {} at least",
                                  *mips, kLeastRing0Mips),
            .ring0_mips = *mips};
  }
  return {.usability = Usability::kUsable, .reason = {}, .ring0_mips = *mips};
}

}  // namespace mote::kvm

#include "machine/vcpu_thread.h"

#include <signal.h>

#include <mutex>
#include <utility>

#include "base/log.h"

namespace mote::machine {
namespace {

// The exit flag of the vCPU that this thread runs. The kick's handler sets it, so that a kick which
// comes just before KVM_RUN is not lost.
thread_local kvm_run* this_threads_vcpu = nullptr;

int kick_signal() { return SIGRTMIN; }

void on_kick(int) {
  if (this_threads_vcpu != nullptr)
    __atomic_store_n(&this_threads_vcpu->immediate_exit, 1, __ATOMIC_RELAXED);
}

void install_kick_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action{};
    action.sa_handler = on_kick;
    ::sigaction(kick_signal(), &action, nullptr);
  });
}

}  // namespace

Result<void> VcpuThread::start(SetUp set_up, std::unique_ptr<Worker> thread) {
  install_kick_handler();
  auto task = [this, set_up = std::move(set_up)] { main(set_up); };
  if (thread) {
    thread_ = std::move(thread);
    thread_->run_last(std::move(task));
    return {};
  }
  auto started = Worker::start(ThreadKind::kVcpu, std::move(task));
  if (!started) {
    return std::unexpected(std::move(started.error()).within(fmt::format("vCPU {}", index_)));
  }
  thread_ = std::move(*started);
  return {};
}

void VcpuThread::kick() {
  if (started() && !stopped_.load(std::memory_order_acquire)) thread_->signal(kick_signal());
}

Result<const kvm::Vcpu*> VcpuThread::settled() {
  if (entry_) {
    const Entry entry = *std::exchange(entry_, std::nullopt);
    MOTE_CHECK(vcpu_.set_sregs(entry.sregs));
    MOTE_CHECK(vcpu_.set_regs(entry.regs));
  }
  return &vcpu_;
}

void VcpuThread::note_pause() {
  if (!vcpu_.note_pause()) ++metrics_.kvmclock_ctrl_fails;
}

void VcpuThread::main(const SetUp& set_up) {
  log::name_thread(fmt::format("fc_vcpu {}", index_).c_str());
  this_threads_vcpu = &vcpu_.shared();
  if (set_up) {
    if (const auto done = set_up(vcpu_, index_); !done) fail_with(done.error().text());
  }
  while (true) {
    // Cleared before the order is read: a kick after this is seen by KVM_RUN.
    __atomic_store_n(&vcpu_.shared().immediate_exit, 0, __ATOMIC_RELAXED);
    Rendezvous::Order order = context_.rendezvous.order();
    if (order == Rendezvous::Order::kPark) {
      finish_exit();
      order = context_.rendezvous.wait_parked();
    }
    if (order == Rendezvous::Order::kStop) break;
    if (order == Rendezvous::Order::kRun) run_until_exit();
  }
  this_threads_vcpu = nullptr;
  stopped_.store(true, std::memory_order_release);
  context_.rendezvous.note_stopped();
  context_.stopped();
}

void VcpuThread::finish_exit() {
  if (!has_run_) return;
  __atomic_store_n(&vcpu_.shared().immediate_exit, 1, __ATOMIC_RELAXED);
  // Its answer does not matter: with the flag set KVM only takes over what the exit's answer was.
  static_cast<void>(vcpu_.run());
  __atomic_store_n(&vcpu_.shared().immediate_exit, 0, __ATOMIC_RELAXED);
}

void VcpuThread::run_until_exit() {
  if (!has_run_ && entry_) {
    vcpu_.start_with(entry_->regs, entry_->sregs);
    entry_.reset();
  }
  has_run_ = true;
  const auto outcome = vcpu_.run();
  // What KVM took meanwhile came before what it left with.
  context_.posted.deliver();
  if (!outcome) {
    fail_with(outcome.error().text());
  } else if (*outcome == kvm::RunOutcome::kExit) {
    handle_exit();
  }
}

void VcpuThread::handle_exit() {
  const kvm_run& run = vcpu_.shared();
  switch (run.exit_reason) {
    case KVM_EXIT_IO:
      return handle_port();
    case KVM_EXIT_MMIO:
      return handle_mmio();
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return;
    case KVM_EXIT_SHUTDOWN:
      return context_.end({.reason = devices::EndReason::kTripleFault,
                           .status = 0,
                           .message = fmt::format("vCPU {} met a triple fault", index_)});
    case KVM_EXIT_SYSTEM_EVENT:
      return handle_system_event();
    case KVM_EXIT_INTERNAL_ERROR:
      return fail_with(fmt::format("KVM met an internal error, suberror {}{}",
                                   run.internal.suberror,
                                   run.internal.suberror == KVM_INTERNAL_ERROR_EMULATION
                                       ? " (an instruction that it cannot emulate)"
                                       : ""));
    case KVM_EXIT_FAIL_ENTRY:
      return fail_with(
          fmt::format("the processor refused to enter the guest, hardware reason {:#x}",
                      std::uint64_t{run.fail_entry.hardware_entry_failure_reason}));
    default:
      return fail_with(fmt::format("KVM left the guest for reason {}, which nothing here handles",
                                   std::uint32_t{run.exit_reason}));
  }
}

void VcpuThread::handle_port() {
  const auto& io = vcpu_.shared().io;
  const std::size_t size = io.size;
  const std::span<std::byte> data = vcpu_.shared_bytes(io.data_offset, size * io.count);
  const bool in = io.direction == KVM_EXIT_IO_IN;
  ++(in ? metrics_.exit_io_in : metrics_.exit_io_out);
  const LatencyScope took(in ? metrics_.exit_io_in_agg : metrics_.exit_io_out_agg);
  // A string instruction brings several accesses to the same port.
  for (std::size_t done = 0; size > 0 && done + size <= data.size(); done += size) {
    const auto part = data.subspan(done, size);
    if (in) {
      context_.ports.read(io.port, part);
    } else {
      context_.ports.write(io.port, part);
    }
  }
}

void VcpuThread::handle_mmio() {
  auto& access = vcpu_.shared().mmio;
  const std::size_t length = std::min<std::size_t>(access.len, sizeof(access.data));
  const std::span data(reinterpret_cast<std::byte*>(access.data), length);
  if (access.is_write != 0) {
    ++metrics_.exit_mmio_write;
    const LatencyScope took(metrics_.exit_mmio_write_agg);
    context_.mmio.write(access.phys_addr, data);
  } else {
    ++metrics_.exit_mmio_read;
    const LatencyScope took(metrics_.exit_mmio_read_agg);
    context_.mmio.read(access.phys_addr, data);
  }
}

void VcpuThread::handle_system_event() {
  const std::uint32_t type = vcpu_.shared().system_event.type;
  if (type == KVM_SYSTEM_EVENT_RESET) {
    return context_.end({.reason = devices::EndReason::kReset,
                         .status = 0,
                         .message = "the guest asked for a reset"});
  }
  if (type == KVM_SYSTEM_EVENT_SHUTDOWN) {
    return context_.end(
        {.reason = devices::EndReason::kPowerOff, .status = 0, .message = "the guest powered off"});
  }
  fail_with(fmt::format("KVM reports system event {}", type));
}

void VcpuThread::fail_with(std::string message) {
  ++metrics_.failures;
  context_.end({.reason = devices::EndReason::kError,
                .status = 1,
                .message = fmt::format("vCPU {}: {}", index_, message)});
}

}  // namespace mote::machine

// A bare guest is paused and saved, its machine taken down, and a new one made from the state goes
// on counting: the whole of vCPU, controllers, clock, chips and transports there and back, on the
// real KVM.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "arch/x86_64/layout.h"
#include "machine/machine.h"
#include "snapshot/describe.h"

namespace mote::machine {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  Pipe() {
    int fds[2];
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
};

class RestoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened here";
    kMachineThread.assert_held();
    loop_ = std::move(*EventLoop::create());
    disk_ = std::filesystem::temp_directory_path() / fmt::format("mote-restore-{}.img", ::getpid());
    std::ofstream(disk_) << std::string(4096, 'd');
  }
  void TearDown() override {
    if (!disk_.empty()) std::filesystem::remove(disk_);
  }

  VmConfig config(unsigned vcpus) const {
    VmConfig config;
    config.boot_source.kernel_image_path = MOTE_BARE_GUESTS "/counter.elf";
    config.machine.vcpu_count = vcpus;
    config.machine.track_dirty_pages = true;
    virtio::BlockConfig drive;
    drive.drive_id = "d0";
    drive.path_on_host = disk_.string();
    drive.rate_limiter = virtio::RateLimiterConfig{
        .bandwidth = {}, .ops = virtio::TokenBucketConfig{.size = 7, .refill_time = 1000}};
    config.drives.push_back(drive);
    config.entropy.emplace();
    config.balloon.emplace();
    return config;
  }
  MachineOptions options() {
    MachineOptions options;
    options.board.com1 = {.input = input_.read.get(), .output = output_.write.get()};
    options.on_end = [this](const devices::End& end) { end_ = end; };
    return options;
  }
  // Turns the loop until the guest has printed `text`; everything that it printed.
  std::string read_until(const std::string& text) {
    std::string seen;
    const auto watch = loop_->watch(output_.read.get(), EPOLLIN, [&](std::uint32_t) {
      char buffer[256];
      const ssize_t count = ::read(output_.read.get(), buffer, sizeof buffer);
      if (count > 0) seen.append(buffer, static_cast<std::size_t>(count));
    });
    for (int turns = 0; turns < 10'000 && seen.find(text) == std::string::npos && !end_; ++turns) {
      EXPECT_TRUE(loop_->run_once(1000));
    }
    // What was written by then is in the pipe.
    for (int turns = 0; end_ && turns < 10; ++turns) EXPECT_TRUE(loop_->run_once(0));
    EXPECT_NE(seen.find(text), std::string::npos) << seen << (end_ ? end_->message : "");
    return seen;
  }
  void type(std::string_view keys) {
    ASSERT_TRUE(write_all(input_.write.get(), std::as_bytes(std::span(keys))));
  }

  // A machine that is paused once its guest, which was typed `keys`, has printed `text`.
  Result<std::unique_ptr<Machine>> paused_after(const VmConfig& wanted, std::string_view keys,
                                                const std::string& text) NO_THREAD_SAFETY_ANALYSIS {
    auto machine = Machine::boot(*loop_, wanted, options());
    if (!machine) return machine;
    MOTE_CHECK((*machine)->run());
    type(keys);
    read_until(text);
    (*machine)->pause();
    return machine;
  }

  // What a memory file will do: the pages of one machine in the memory of another.
  static memory::GuestMemory copy_of(const memory::GuestMemory& from, const MachineConfig& config) {
    auto copy = Machine::make_memory(config);
    EXPECT_TRUE(copy);
    std::vector<std::byte> buffer(1 << 20);
    for (const memory::RegionView& region : from.regions()) {
      for (std::uint64_t at = 0; at < region.range.size; at += buffer.size()) {
        EXPECT_TRUE(from.read(region.range.start + at, buffer));
        EXPECT_TRUE(copy->write(region.range.start + at, buffer));
      }
    }
    return std::move(*copy);
  }

  std::unique_ptr<EventLoop> loop_;
  Pipe input_;
  Pipe output_;
  std::filesystem::path disk_;
  std::optional<devices::End> end_;
};

TEST_F(RestoreTest, APausedMachineStandsStillAndGoesOn) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = paused_after(config(1), "a", "memory=00000001 register=00000001");
  ASSERT_TRUE(machine) << machine.error().text();
  const std::uint64_t exits = (*machine)->vcpu_metrics(0).exit_io_in;
  ::usleep(20'000);
  EXPECT_EQ((*machine)->vcpu_metrics(0).exit_io_in, exits);
  type("b");
  ASSERT_TRUE((*machine)->run());
  read_until("memory=00000002 register=00000002");
}

// The guest reads its disk's registers from memory: the same answers by exits would be right, and
// slow.
TEST_F(RestoreTest, ReadingADevicesRegistersIsNoExit) NO_THREAD_SAFETY_ANALYSIS {
  VmConfig wanted = config(1);
  wanted.boot_source.kernel_image_path = MOTE_BARE_GUESTS "/virtio_blk.elf";
  wanted.entropy.reset();
  wanted.balloon.reset();
  auto machine = Machine::boot(*loop_, wanted, options());
  ASSERT_TRUE(machine) << machine.error().text();
  ASSERT_TRUE((*machine)->run());
  const std::string seen = read_until("unknown result=");
  EXPECT_TRUE(seen.contains("magic=74726976")) << seen;
  EXPECT_EQ((*machine)->vcpu_metrics(0).exit_mmio_read, 0U);
  EXPECT_GT((*machine)->vcpu_metrics(0).exit_mmio_write, 0U);
}

TEST_F(RestoreTest, ARunningMachineIsNotSaved) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = Machine::boot(*loop_, config(1), options());
  ASSERT_TRUE(machine) << machine.error().text();
  ASSERT_TRUE((*machine)->run());
  const auto state = (*machine)->save();
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().kind(), ErrorKind::kState);
}

TEST_F(RestoreTest, AGuestGoesOnCountingInANewMachine) NO_THREAD_SAFETY_ANALYSIS {
  for (const unsigned vcpus : {1U, 2U}) {
    SCOPED_TRACE(vcpus);
    const VmConfig wanted = config(vcpus);
    auto first = paused_after(wanted, "abc", "memory=00000003 register=00000003");
    ASSERT_TRUE(first) << first.error().text();
    auto state = (*first)->save();
    ASSERT_TRUE(state) << state.error().text();
    EXPECT_EQ(state->vcpus.size(), vcpus);
    // A timer that is not armed, or fired as it was saved, is saved as due.
    for (const arch::VcpuState& vcpu : state->vcpus) {
      const auto deadline = std::ranges::find(vcpu.msrs, 0x6e0U, &kvm_msr_entry::index);
      EXPECT_TRUE(deadline == vcpu.msrs.end() || deadline->data != 0);
    }
    EXPECT_NE((*first)->find<virtio::Block>("d0"), nullptr);
    EXPECT_EQ((*first)->find<virtio::Block>("d1"), nullptr);
    std::vector<std::string> sections;
    for (const SavedDevice& device : state->devices) sections.push_back(device.section);
    EXPECT_EQ(sections, (std::vector<std::string>{"drives", "entropy", "balloon"}));
    EXPECT_EQ(state->devices.front().id, "d0");
    const auto& block = std::get<virtio::BlockState>(state->devices.front().device);
    EXPECT_EQ(block.rate_limiter->ops->size, 7U);
    EXPECT_NE((*first)->find<virtio::Rng>(), nullptr);
    EXPECT_EQ((*first)->find<virtio::Net>("d0"), nullptr);
    memory::GuestMemory memory = copy_of((*first)->memory(), wanted.machine);
    first->reset();

    auto second =
        Machine::restore(*loop_, wanted, options(), {.memory = std::move(memory)}, *state);
    ASSERT_TRUE(second) << second.error().text();
    // It is another machine than the first, and its guest can tell.
    EXPECT_EQ(*(*second)->memory().read<std::uint64_t>(arch::layout::kVmClock + 104), 1U);
    EXPECT_NE((*(*second)->memory().read<std::array<std::uint8_t, 16>>(arch::layout::kVmGenId)),
              state->board.vmgenid.value);
    ASSERT_TRUE((*second)->run());
    type("d");
    // The register shows the vCPU's state, the count in memory the memory's.
    read_until("memory=00000004 register=00000004");

    // And once more, from the machine that was restored.
    (*second)->pause();
    auto again = (*second)->save();
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->board.vmclock.disruption_marker, 1U);
    EXPECT_EQ(again->vcpus.front().tsc_khz, state->vcpus.front().tsc_khz);
    EXPECT_GE(again->vm.clock.clock, state->vm.clock.clock);
  }
}

std::uint64_t tsc_of(const MachineState& state, std::size_t vcpu) {
  const auto& msrs = state.vcpus[vcpu].msrs;
  return std::ranges::find(msrs, arch::kMsrTsc, &kvm_msr_entry::index)->data;
}

// Linux gives the TSC up where it and kvmclock have gone apart by some 100 us.
TEST_F(RestoreTest, ItsTwoClocksStayInStep) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = paused_after(config(2), "a", "memory=00000001 register=00000001");
  ASSERT_TRUE(machine) << machine.error().text();
  auto before = (*machine)->save();
  ASSERT_TRUE(before) << before.error().text();
  // Its host has been away for an hour.
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  before->vm.clock.realtime -= kHour;
  for (const auto start : {arch::ClockStart::kWhereItStopped, arch::ClockStart::kNow}) {
    machine->reset();
    ::usleep(50'000);
    machine = Machine::restore(*loop_, config(2), options(),
                               {.memory = *Machine::make_memory(config(2).machine), .clock = start},
                               *before);
    ASSERT_TRUE(machine) << machine.error().text();
    const auto after = (*machine)->save();
    ASSERT_TRUE(after) << after.error().text();
    // A paravirtual KVM may give a guest the host's TSC, and nothing else.
    if (const std::uint64_t tsc = tsc_of(*after, 0); __rdtsc() - tsc < 1'000'000'000) {
      GTEST_SKIP() << "this KVM gives guests the TSC of their host";
    }
    const std::uint64_t clock_ns = after->vm.clock.clock - before->vm.clock.clock;
    EXPECT_EQ(clock_ns > kHour, start == arch::ClockStart::kNow);
    const auto tsc_ns = [&](std::size_t vcpu) {
      return static_cast<double>(tsc_of(*after, vcpu) - tsc_of(*before, vcpu)) * 1e6 /
             before->vcpus[vcpu].tsc_khz;
    };
    // A thousandth of a percent is what the frequency is known to.
    const double most = 100e3 + static_cast<double>(clock_ns) * 1e-5;
    EXPECT_NEAR(tsc_ns(0), static_cast<double>(clock_ns), most);
    EXPECT_NEAR(tsc_ns(1), static_cast<double>(clock_ns), most);
  }
}

// By a bit of the clock in its memory, which a guest looks at before it calls itself stuck.
TEST_F(RestoreTest, AGuestsClockSaysThatItWasPaused) NO_THREAD_SAFETY_ANALYSIS {
  constexpr std::uint32_t kMsrSystemTime = 0x4b564d01;  // MSR_KVM_SYSTEM_TIME_NEW
  constexpr memory::GuestAddress kClock = 64 << 20;     // a pvclock_vcpu_time_info
  constexpr std::uint8_t kGuestStopped = 2;
  auto first = paused_after(config(1), "a", "memory=00000001 register=00000001");
  ASSERT_TRUE(first) << first.error().text();
  auto state = (*first)->save();
  ASSERT_TRUE(state) << state.error().text();
  auto& msrs = state->vcpus[0].msrs;
  const auto clock = std::ranges::find(msrs, kMsrSystemTime, &kvm_msr_entry::index);
  ASSERT_NE(clock, msrs.end());
  clock->data = kClock | 1;
  auto memory = copy_of((*first)->memory(), config(1).machine);
  first->reset();
  auto machine =
      Machine::restore(*loop_, config(1), options(), {.memory = std::move(memory)}, *state);
  ASSERT_TRUE(machine) << machine.error().text();
  const auto flags = [&] {
    EXPECT_NE(*(*machine)->memory().read<std::uint32_t>(kClock), 0U) << "there is a version";
    return *(*machine)->memory().read<std::uint8_t>(kClock + 29);
  };
  ASSERT_TRUE((*machine)->run());
  type("b");
  read_until("memory=00000002 register=00000002");
  EXPECT_EQ(flags() & kGuestStopped, 0);
  (*machine)->pause();
  ASSERT_TRUE((*machine)->run());
  type("c");
  read_until("memory=00000003 register=00000003");
  EXPECT_EQ(flags() & kGuestStopped, kGuestStopped);
}

TEST_F(RestoreTest, AStateOfAnotherShapeIsRefused) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = Machine::boot(*loop_, config(1), options());
  ASSERT_TRUE(machine) << machine.error().text();
  ASSERT_TRUE((*machine)->run());
  (*machine)->pause();
  const auto state = (*machine)->save();
  ASSERT_TRUE(state) << state.error().text();

  auto more_vcpus = config(2);
  EXPECT_FALSE(Machine::restore(*loop_, more_vcpus, options(),
                                {.memory = *Machine::make_memory(more_vcpus.machine)}, *state));
  const auto refused = [&](auto spoil) {
    MachineState bad = *state;
    spoil(bad.devices);
    return !Machine::restore(*loop_, config(1), options(),
                             {.memory = *Machine::make_memory(config(1).machine)}, bad);
  };
  using Devices = std::vector<SavedDevice>;
  EXPECT_TRUE(refused([](Devices& devices) { devices.pop_back(); }));
  EXPECT_TRUE(refused([](Devices& devices) { devices.push_back(devices.back()); }));
  EXPECT_TRUE(refused([](Devices& devices) { std::swap(devices[1], devices[2]); }));
  EXPECT_TRUE(refused([](Devices& devices) { std::swap(devices[1].device, devices[2].device); }));
  EXPECT_TRUE(refused([](Devices& devices) { devices[1].section = "balloon"; }));
  EXPECT_TRUE(refused([](Devices& devices) { devices[1].transport = devices[2].transport; }));
  auto other_drive = config(1);
  other_drive.drives.front().drive_id = "other";
  EXPECT_FALSE(Machine::restore(*loop_, other_drive, options(),
                                {.memory = *Machine::make_memory(other_drive.machine)}, *state));
}

TEST_F(RestoreTest, AProcessorThatIsNotThisOneIsRefusedByItsFeatures) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = Machine::boot(*loop_, config(1), options());
  ASSERT_TRUE(machine) << machine.error().text();
  ASSERT_TRUE((*machine)->run());
  (*machine)->pause();
  auto state = (*machine)->save();
  ASSERT_TRUE(state) << state.error().text();
  for (kvm_cpuid_entry2& leaf : state->vcpus.front().cpuid) {
    if (leaf.function == 0x40000001) leaf.eax |= 1U << 30;  // no such feature of KVM's
  }
  const auto refused = Machine::restore(
      *loop_, config(1), options(), {.memory = *Machine::make_memory(config(1).machine)}, *state);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text().find("CPUID leaf 0x40000001 eax bit 30"), std::string::npos)
      << refused.error().text();
}

// A shell's processors have the CPUID that most guests were given, and are given another's.
TEST_F(RestoreTest, AShellsProcessorsHaveTheStatesCpuid) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = paused_after(config(2), "a", "memory=00000001");
  ASSERT_TRUE(machine) << machine.error().text();
  auto state = (*machine)->save();
  ASSERT_TRUE(state) << state.error().text();
  std::vector<memory::GuestMemory> copies;
  for (int i = 0; i < 2; ++i) copies.push_back(copy_of((*machine)->memory(), config(2).machine));
  machine->reset();  // it would read what is typed
  for (const bool changed : {false, true}) {
    if (changed) {
      for (arch::VcpuState& vcpu : state->vcpus) {
        for (kvm_cpuid_entry2& leaf : vcpu.cpuid) {
          if (leaf.function == 1) leaf.eax ^= 0xf;  // another stepping
        }
      }
    }
    auto shell = Shell::make(2, config(2).machine.mem_size_mib);
    ASSERT_TRUE(shell) << shell.error().text();
    RestoreSource source{.memory = std::move(copies[changed ? 1 : 0])};
    ASSERT_EQ((*shell)->cpuids.size(), 2U);
    for (unsigned i = 0; i < 2; ++i) {
      EXPECT_EQ(arch::is_same_cpuid((*shell)->cpuids[i], state->vcpus[i].cpuid), !changed);
    }
    source.shell = std::move(*shell);
    auto again = Machine::restore(*loop_, config(2), options(), std::move(source), *state);
    ASSERT_TRUE(again) << again.error().text();
    ASSERT_TRUE((*again)->run());
    type("b");
    read_until("memory=00000002");
    (*again)->pause();
    const auto saved = (*again)->save();
    ASSERT_TRUE(saved) << saved.error().text();
    for (unsigned i = 0; i < 2; ++i) {
      EXPECT_TRUE(arch::is_same_cpuid(saved->vcpus[i].cpuid, state->vcpus[i].cpuid));
    }
  }
}

// A checksum keeps accidents out and nobody who means it: whatever a state says, the machine is
// made or refused, and nothing else.
TEST_F(RestoreTest, HostileStatesAreRefusedOrRestored) NO_THREAD_SAFETY_ANALYSIS {
  auto machine = Machine::boot(*loop_, config(1), options());
  ASSERT_TRUE(machine) << machine.error().text();
  ASSERT_TRUE((*machine)->run());
  (*machine)->pause();
  const auto state = (*machine)->save();
  ASSERT_TRUE(state) << state.error().text();
  machine->reset();
  const std::vector<std::byte> bytes = snapshot::write(*state);
  unsigned restored = 0;
  unsigned refused = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 97) {
    std::vector<std::byte> bad = bytes;
    bad[at] ^= std::byte{0x41};
    snapshot::Notes notes;
    const auto read = snapshot::read<MachineState>(bad, notes);
    if (!read) {
      ++refused;
      continue;
    }
    const auto made = Machine::restore(*loop_, config(1), options(),
                                       {.memory = *Machine::make_memory(config(1).machine)}, *read);
    ++(made ? restored : refused);
  }
  EXPECT_GT(restored, 0U);
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace mote::machine

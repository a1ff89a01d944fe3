// A guest that polls the serial port: its bytes come whole and in order, in few writes, with few
// exits where KVM can take them by itself, and nothing stays behind when the guest falls silent.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "machine/machine.h"

namespace mote::machine {
namespace {

TEST(PolledConsole, BytesComeWholeInOrderAndSoon) NO_THREAD_SAFETY_ANALYSIS {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened here";
  kMachineThread.assert_held();
  int input[2];
  int output[2];
  ASSERT_EQ(::pipe2(input, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
  const UniqueFd ends[] = {UniqueFd(input[0]), UniqueFd(input[1]), UniqueFd(output[0]),
                           UniqueFd(output[1])};
  // Room for all of it: this thread reads in between.
  ASSERT_GE(::fcntl(output[1], F_SETPIPE_SZ, 1 << 18), 1 << 17);
  const auto loop = std::move(*EventLoop::create());
  std::string wanted;
  for (int line = 1024; line > 0; --line) {
    wanted += fmt::format("line={:08x} {:.<48}\n", line, "");
  }
  wanted += "ready\n";
  std::string seen;
  const auto watch = loop->watch(output[0], EPOLLIN, [&](std::uint32_t) {
    char buffer[1 << 16];
    const ssize_t count = ::read(output[0], buffer, sizeof buffer);
    if (count > 0) seen.append(buffer, static_cast<std::size_t>(count));
  });
  ASSERT_TRUE(watch);
  const auto turn_until = [&](const std::string& text) {
    for (int silent = 0; silent < 60 && seen.size() < text.size();) {
      const auto handled = loop->run_once(1000);
      ASSERT_TRUE(handled);
      if (!*handled) ++silent;
    }
    EXPECT_EQ(seen, text);
  };

  VmConfig config;
  config.boot_source.kernel_image_path = MOTE_BARE_GUESTS "/polled.elf";
  MachineOptions options;
  options.board.com1 = {.input = input[0], .output = output[1]};
  options.on_end = [](const devices::End& end) { FAIL() << end.message; };
  auto machine = Machine::boot(*loop, config, std::move(options));
  ASSERT_TRUE(machine) << machine.error().text();
  ASSERT_TRUE((*machine)->run());
  turn_until(wanted);
  const std::uint64_t exits = (*machine)->vcpu_metrics(0).exit_io_out;
  RecordProperty("exits_for_output", static_cast<int>(exits));
  const auto kvm = kvm::Kvm::open();
  ASSERT_TRUE(kvm);
  if (kvm->check(KVM_CAP_COALESCED_PIO) != 0) EXPECT_LT(exits, wanted.size() / 2);
  // The port may be posted or not by now: the guest's last bytes come in both cases.
  ASSERT_EQ(::write(input[1], "x", 1), 1);
  turn_until(wanted + "last words\n");
}

}  // namespace
}  // namespace mote::machine

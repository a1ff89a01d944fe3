#include "arch/x86_64/boot.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "arch/x86_64/acpi/tables.h"
#include "arch/x86_64/layout.h"
#include "arch/x86_64/memory_map.h"
#include "arch/x86_64/mptable.h"
#include "arch/x86_64/placement.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/start_info.h"
#include "arch/x86_64/zero_page.h"

namespace mote::arch {
namespace {

// Where an initrd must end for this kernel: a bzImage says it, both protocols can tell addresses
// below 4 GiB.
std::uint64_t initrd_limit(const LoadedKernel& kernel) {
  if (!kernel.header || kernel.header->initrd_addr_max == 0) return 1ULL << 32;
  return std::uint64_t{kernel.header->initrd_addr_max} + 1;
}

Result<memory::Range> load_initrd(const memory::GuestMemory& memory, int fd,
                                  const LoadedKernel& kernel) {
  struct stat status{};
  if (::fstat(fd, &status) < 0) return fail_errno(errno, "look at the initrd's file");
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::kInvalid, "an initrd must be a regular file");
  }
  if (status.st_size == 0) return fail(ErrorKind::kInvalid, "the file is empty");
  memory::Range range{.start = 0, .size = static_cast<std::uint64_t>(status.st_size)};
  MOTE_TRY(range.start, place_initrd(memory, range.size, initrd_limit(kernel), kernel.ranges));
  prepare_to_fill(memory, {range});
  MOTE_CHECK(memory.load_file(range.start, range.size, fd, 0));
  return range;
}

Result<memory::Range> load_initrd_of(const memory::GuestMemory& memory, const BootInputs& inputs,
                                     const LoadedKernel& kernel) {
  if (!inputs.initrd) return memory::Range{};
  auto range = load_initrd(memory, inputs.initrd->fd, kernel);
  if (range) return range;
  return std::unexpected(
      std::move(range.error()).within(fmt::format("initrd '{}'", inputs.initrd->name)));
}

Result<LoadedKernel> load_kernel_of(const memory::GuestMemory& memory, const BootInputs& inputs) {
  auto kernel = load_kernel(memory, inputs.kernel.fd, inputs.protocol);
  if (kernel) return kernel;
  return std::unexpected(
      std::move(kernel.error()).within(fmt::format("kernel '{}'", inputs.kernel.name)));
}

Result<std::uint64_t> write_cmdline(const memory::GuestMemory& memory, const Cmdline& cmdline) {
  const std::string text = cmdline.text();
  // With the NUL that ends a string.
  MOTE_CHECK(
      memory.write(layout::kCmdline, std::as_bytes(std::span(text.c_str(), text.size() + 1))));
  return text.size();
}

Result<void> write_firmware_tables(const memory::GuestMemory& memory, const BootInputs& inputs) {
  MOTE_TRY(const Bytes mp_table, make_mp_table(layout::kMpTable, inputs.cpus));
  MOTE_CHECK(memory.write(layout::kMpTable, std::as_bytes(std::span(mp_table))));
  return acpi::write_acpi_tables(memory, inputs.cpus, inputs.devices);
}

// Page tables that reach all that the kernel takes.
Result<void> write_tables_for(const memory::GuestMemory& memory, const LoadedKernel& kernel) {
  std::uint64_t end = 0;
  for (const memory::Range& range : kernel.ranges) end = std::max(end, range.end());
  return write_boot_tables(memory, end);
}

}  // namespace

Result<BootState> prepare_boot(const memory::GuestMemory& memory, const BootInputs& inputs) {
  MOTE_TRY(const LoadedKernel kernel, load_kernel_of(memory, inputs));
  MOTE_TRY(const memory::Range initrd, load_initrd_of(memory, inputs, kernel));
  prepare_for_linux(memory, kernel.ranges, initrd);
  MOTE_TRY(const std::uint64_t cmdline_size, write_cmdline(memory, inputs.cmdline));
  MOTE_CHECK(write_firmware_tables(memory, inputs));

  std::vector<memory::Range> ranges;
  for (const memory::RegionView& region : memory.regions()) ranges.push_back(region.range);
  const std::vector<MemoryMapEntry> map = memory_map(ranges);
  const BootFacts facts{
      .map = map, .cmdline_size = cmdline_size, .initrd = initrd, .rsdp = layout::kRsdp};
  BootState state{.protocol = kernel.protocol, .entry = kernel.entry};
  if (kernel.protocol == BootProtocol::kPvh) {
    MOTE_CHECK(write_start_info(memory, facts));
    state.parameter = layout::kStartInfo;
  } else {
    MOTE_CHECK(write_zero_page(memory, facts, kernel.header));
    MOTE_CHECK(write_tables_for(memory, kernel));
    state.parameter = layout::kZeroPage;
  }
  return state;
}

void set_boot_registers(const BootState& state, kvm_regs& regs, kvm_sregs& sregs) {
  if (state.protocol == BootProtocol::kPvh) {
    set_pvh_registers(state.entry, state.parameter, regs, sregs);
  } else {
    set_linux64_registers(state.entry, state.parameter, regs, sregs);
  }
}

}  // namespace mote::arch

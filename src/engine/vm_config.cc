#include "engine/vm_config.h"

#include <fmt/format.h>

#include "base/json.h"

namespace mote::engine {

std::string kernel_command_line(const VmPlan& plan) {
  std::string line = "console=ttyS0 ";
  line += plan.show_console ? "loglevel=7 " : "quiet ";
  // A panic resets at once (-1), through the keyboard controller (k), which ends the VM. The line
  // to the host is the second UART, whatever number of them the kernel takes by itself.
  line += "panic=-1 reboot=k 8250.nr_uarts=2 ";
  // No PCI bus, no mouse: what is not there is not probed for.
  line += "pci=off i8042.noaux i8042.nomux i8042.dumbkbd ";
  // The host's random numbers seed the guest's before any device could.
  line += "random.trust_cpu=on";
  if (!plan.kernel_arguments.empty()) line += " " + plan.kernel_arguments;
  return line;
}

std::string vm_config_json(const VmPlan& plan) {
  json::Writer writer;
  writer.begin_object();
  writer.key("boot-source");
  writer.begin_object();
  writer.key("kernel_image_path");
  writer.string(plan.kernel);
  writer.key("initrd_path");
  writer.string(plan.initrd);
  writer.key("boot_args");
  writer.string(kernel_command_line(plan));
  writer.end_object();
  writer.key("drives");
  writer.begin_array();
  writer.begin_object();
  writer.key("drive_id");
  writer.string("root");
  writer.key("path_on_host");
  writer.string(plan.root_image);
  // mote-init mounts it: the kernel's root is the initramfs.
  writer.key("is_root_device");
  writer.boolean(false);
  writer.key("is_read_only");
  writer.boolean(true);
  writer.end_object();
  writer.end_array();
  writer.key("machine-config");
  writer.begin_object();
  writer.key("vcpu_count");
  writer.integer(std::uint64_t{plan.cpus});
  writer.key("mem_size_mib");
  writer.integer(plan.memory_mib);
  writer.end_object();
  writer.end_object();
  return std::move(writer).take();
}

}  // namespace mote::engine

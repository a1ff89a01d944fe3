// What each field of a request or an answer means, in a sentence: for the documentation. One that
// is missing fails a test, as does one of a field that is not there. Named as in openapi.json:
// the struct, and the field as it is in JSON.
#pragma once

#include <array>
#include <string_view>

namespace mote::api::firecracker::test {

struct Description {
  std::string_view type;
  std::string_view field;
  std::string_view text;
};

inline constexpr std::array kDescriptions{
    Description{"Action", "action_type",
                "`InstanceStart` starts the microVM, once; `SendCtrlAltDel` presses these keys, at "
                "which a Linux with virtual terminals (`CONFIG_VT`, which the project's kernel "
                "lacks) restarts or, as it is set, shuts down; `FlushMetrics` writes a line of "
                "metrics. The last two are for a microVM that was started."},
    Description{"BalloonConfig", "amount_mib",
                "How much memory the guest is to give up, in MiB; at most what it has."},
    Description{"BalloonConfig", "deflate_on_oom",
                "Whether the guest takes pages back from the balloon rather than kill a process "
                "for want of memory."},
    Description{"BalloonConfig", "stats_polling_interval_s",
                "How often the guest is asked for statistics, in seconds; 0: never, and then they "
                "cannot be turned on later."},
    Description{"BalloonConfig", "free_page_hinting",
                "Whether the guest can be asked, in rounds, which of its pages are free, so that "
                "the host takes them back."},
    Description{"BalloonConfig", "free_page_reporting",
                "Whether the guest tells by itself which pages have become free, so that the host "
                "takes them back."},
    Description{
        "BalloonHintingStatus", "host_cmd",
        "The round of hinting that was asked for last; 0: to stop, 1: to use the pages again."},
    Description{"BalloonHintingStatus", "guest_cmd",
                "The round that the guest is in; left out before it has begun one."},
    Description{"BalloonStatistics", "swap_in",
                "Bytes that the guest has read back from its swap."},
    Description{"BalloonStatistics", "swap_out", "Bytes that it has written to its swap."},
    Description{"BalloonStatistics", "major_faults", "Page faults that had to wait for a disk."},
    Description{"BalloonStatistics", "minor_faults", "Page faults that did not."},
    Description{"BalloonStatistics", "free_memory", "Bytes that are in no use at all."},
    Description{"BalloonStatistics", "total_memory", "Bytes that the guest has."},
    Description{"BalloonStatistics", "available_memory",
                "Bytes that programs could get without swapping."},
    Description{"BalloonStatistics", "disk_caches",
                "Bytes of files that are kept in memory and can be dropped."},
    Description{"BalloonStatistics", "hugetlb_allocations",
                "Huge pages of hugetlbfs that were handed out."},
    Description{"BalloonStatistics", "hugetlb_failures",
                "Huge pages of hugetlbfs that were asked for and not there."},
    Description{"BalloonStatistics", "oom_kill", "Processes that were killed for want of memory."},
    Description{"BalloonStatistics", "alloc_stall",
                "How often an allocation had to wait for memory to be reclaimed."},
    Description{"BalloonStatistics", "async_scan",
                "Pages that were looked at for reclaim in the background."},
    Description{"BalloonStatistics", "direct_scan",
                "Pages that were looked at for reclaim by who needed memory."},
    Description{"BalloonStatistics", "async_reclaim",
                "Pages that were reclaimed in the background."},
    Description{"BalloonStatistics", "direct_reclaim",
                "Pages that were reclaimed by who needed memory."},
    Description{"BalloonStatistics", "target_pages",
                "How large the balloon is to be, in pages of 4 KiB."},
    Description{"BalloonStatistics", "actual_pages", "How large it is, in pages of 4 KiB."},
    Description{"BalloonStatistics", "target_mib", "How large the balloon is to be, in MiB."},
    Description{"BalloonStatistics", "actual_mib", "How large it is, in MiB."},
    Description{
        "BalloonStatisticsUpdate", "stats_polling_interval_s",
        "The new period, in seconds. It cannot become 0, nor be set where it was 0 at the start."},
    Description{
        "BalloonUpdate", "amount_mib",
        "How much memory the guest is to give up from now on, in MiB; at most what it has."},
    Description{"BlockConfig", "drive_id", "The disk's id, as in the path."},
    Description{"BlockConfig", "path_on_host",
                "The file or block device that holds the disk. Needed, unless there is `socket`."},
    Description{"BlockConfig", "is_root_device",
                "Whether the guest's root filesystem is on it: `root=` is added to the command "
                "line, and it becomes the first disk. At most one disk is."},
    Description{"BlockConfig", "partuuid",
                "The PARTUUID of the root partition, where the root device has partitions; without "
                "it the whole disk is the filesystem."},
    Description{"BlockConfig", "is_read_only",
                "Whether the guest may only read it; the file is opened so, too."},
    Description{"BlockConfig", "cache_type",
                "What a flush by the guest does: nothing (`Unsafe`: none is offered), or it waits "
                "until what was written is on stable storage (`Writeback`)."},
    Description{"BlockConfig", "io_engine",
                "How requests reach the file: one at a time (`Sync`), or many at once by io_uring "
                "(`Async`)."},
    Description{"BlockConfig", "rate_limiter", "Limits on the bytes and requests of the disk."},
    Description{"BlockConfig", "socket",
                "The Unix socket of a vhost-user backend that serves the disk, in place of "
                "`path_on_host`."},
    Description{"BlockConfig", "direct",
                "Mote's own: requests go around the host's page cache (`O_DIRECT`)."},
    Description{"BlockConfig", "serial",
                "Mote's own: the serial number that the guest reads, at most 20 bytes; without it, "
                "one made of the file's device and inode."},
    Description{"BlockConfig", "num_queues", "Mote's own: queues, from 1 to the number of vCPUs."},
    Description{
        "BlockConfig", "format",
        "Mote's own: what `path_on_host` holds: the disk's bytes, a qcow2 image, or a layer "
        "over other files. It is never guessed."},
    Description{"BlockConfig", "layers",
                "Mote's own: of format overlay, what the layer lies on, lowest first: an image "
                "that is the disk's bytes, then sealed layers."},
    Description{
        "BlockConfig", "backing_files",
        "Mote's own: whether a qcow2 image may name a backing file, which the guest then reads."},
    Description{"BootSource", "kernel_image_path",
                "The kernel: an uncompressed ELF file (vmlinux) or a bzImage."},
    Description{"BootSource", "initrd_path", "An initrd or initramfs."},
    Description{"BootSource", "boot_args",
                "The kernel's command line, at most 2047 bytes with what is added for the root "
                "device; without it, a default one with the console on the serial port."},
    Description{"BootSource", "boot_protocol",
                "Mote's own: how an ELF kernel is entered: at its PVH entry, at the 64-bit entry "
                "of Linux, or as its notes say."},
    Description{"ConsoleConfig", "ports",
                "The ports, 1 to 16, in the order in which the guest counts them."},
    Description{"ConsoleOverride", "port", "The port, as the guest counts them, from 0."},
    Description{"ConsoleOverride", "path",
                "The file or socket that it gets in place of the one it had."},
    Description{"CpuConfig", "kvm_capabilities",
                "Capabilities that KVM must have, as decimal numbers in text; with `!` before it, "
                "one that it need not have though every machine asks for it."},
    Description{"CpuConfig", "cpuid_modifiers", "Changes of what CPUID says."},
    Description{"CpuConfig", "msr_modifiers", "Changes of model-specific registers."},
    Description{"CpuidLeafConfig", "leaf",
                "The leaf, a number in text with `0x` or `0b` before it."},
    Description{"CpuidLeafConfig", "subleaf", "The subleaf, likewise."},
    Description{"CpuidLeafConfig", "flags",
                "KVM's flags of the leaf: 1 where the subleaf counts, else 0."},
    Description{"CpuidLeafConfig", "modifiers", "What changes in its registers."},
    Description{"CpuidRegisterConfig", "register", "The register."},
    Description{"CpuidRegisterConfig", "bitmap",
                "A letter a bit, the lowest last: `0` and `1` set it, `x` leaves it. At most 32 "
                "bits; `0b` before it and `_` within it mean nothing."},
    Description{"DriveOverride", "drive_id", "The disk of the snapshot."},
    Description{"DriveOverride", "path_on_host",
                "The file or block device that it gets in place of the one it had; at least as "
                "large. For a disk of format overlay, which must be named: where its own layer is "
                "made."},
    Description{"DriveOverride", "layers",
                "Of a disk of format overlay: other paths of all that its layer lies on, lowest "
                "first."},
    Description{"DriveUpdate", "drive_id", "The disk's id, as in the path."},
    Description{"DriveUpdate", "path_on_host",
                "The file that takes the place of the present one, with what it holds and its "
                "size; the same again: its size is looked at anew."},
    Description{
        "DriveUpdate", "rate_limiter",
        "New limits; a bucket that is left out stays, one of size or refill_time 0 is none."},
    Description{"ForkAnswer", "descriptors_sent",
                "How many descriptors came beside the answer (SCM_RIGHTS): that of the state, then "
                "those of memory."},
    Description{"ForkAnswer", "paused_us", "How long the guest stood still, in microseconds."},
    Description{"ForkAnswer", "copied_bytes",
                "What had to be copied of memory, as it was written since a fork before."},
    Description{"FullConfig", "balloon", "The balloon, where there is one."},
    Description{"FullConfig", "drives", "The disks, the root device first."},
    Description{"FullConfig", "boot-source", "The kernel."},
    Description{"FullConfig", "cpu-config", "Never told."},
    Description{"FullConfig", "logger", "Never told."},
    Description{"FullConfig", "machine-config", "Processors and memory."},
    Description{"FullConfig", "metrics", "Never told."},
    Description{"FullConfig", "mmds-config", "The metadata service, where the guest can reach it."},
    Description{"FullConfig", "network-interfaces", "The network interfaces."},
    Description{"FullConfig", "vsock", "The vsock device, where there is one."},
    Description{"FullConfig", "entropy", "The entropy device, where there is one."},
    Description{"FullConfig", "pmem", "Persistent memories, the root device first."},
    Description{"FullConfig", "memory-hotplug",
                "Memory that can be plugged in, where there is such."},
    Description{"FullConfig", "console", "Mote's own: the virtio console, where there is one."},
    Description{"HintingStart", "acknowledge_on_stop",
                "Whether the guest is let use its free pages again when it has told all of them, "
                "without a request to stop."},
    Description{"InstanceInfo", "id", "The microVM's id (`--id`)."},
    Description{"InstanceInfo", "state", "How far it is."},
    Description{"InstanceInfo", "vmm_version",
                "The version of Firecracker whose behaviour this is."},
    Description{"InstanceInfo", "app_name", "The program's name."},
    Description{"InstanceInfo", "mote_version", "Mote's own: its version."},
    Description{"InterfaceUpdate", "iface_id", "The interface's id, as in the path."},
    Description{"InterfaceUpdate", "rx_rate_limiter",
                "New limits into the guest; a bucket that is left out stays, one of size or "
                "refill_time 0 is none."},
    Description{"InterfaceUpdate", "tx_rate_limiter", "New limits out of the guest, likewise."},
    Description{"LoggerConfig", "log_path",
                "A file to append to, or a FIFO. Without it the log stays where it is."},
    Description{"LoggerConfig", "level",
                "The least that is logged: `Off`, `Error`, `Warning`, `Info`, `Debug` or `Trace`, "
                "in upper or lower case."},
    Description{"LoggerConfig", "show_level", "Whether a line tells its level."},
    Description{"LoggerConfig", "show_log_origin", "Whether a line tells its place in the source."},
    Description{"LoggerConfig", "module",
                "Only lines of modules whose names begin so are logged; empty: all."},
    Description{"MachineConfig", "vcpu_count", "Processors, 1 to 32."},
    Description{"MachineConfig", "mem_size_mib",
                "Memory in MiB, at least 1; an even number with `huge_pages`."},
    Description{"MachineConfig", "smt",
                "Whether two vCPUs at a time are threads of one core, as the guest is told; "
                "`vcpu_count` is 1 or even then."},
    Description{"MachineConfig", "track_dirty_pages",
                "Whether KVM notes which pages the guest writes."},
    Description{"MachineConfig", "huge_pages",
                "What guest memory is made of: usual pages, pages of 2 MiB that are set aside on "
                "the host (`2M`), or transparent huge pages where the host has some."},
    Description{"MachineConfig", "cpu_template",
                "Hides features of the processor, so that a guest sees the same on hosts of "
                "several generations. Deprecated by Firecracker."},
    Description{"MachineConfig", "forkable",
                "Mote's own: whether the microVM can be forked later (`PUT /fork`)."},
    Description{"MachineUpdate", "vcpu_count", "Processors, 1 to 32."},
    Description{"MachineUpdate", "mem_size_mib", "Memory in MiB, at least 1."},
    Description{"MachineUpdate", "smt", "Whether two vCPUs at a time are threads of one core."},
    Description{"MachineUpdate", "track_dirty_pages",
                "Whether KVM notes which pages the guest writes."},
    Description{"MachineUpdate", "huge_pages", "What guest memory is made of."},
    Description{"MachineUpdate", "cpu_template",
                "Hides features of the processor. Deprecated by Firecracker."},
    Description{"MachineUpdate", "forkable", "Mote's own: whether the microVM can be forked."},
    Description{"MemConfig", "total_size_mib",
                "How much can be plugged in, in MiB: a multiple of the slot."},
    Description{"MemConfig", "block_size_mib",
                "How much is plugged at once, in MiB: a power of two, at least 2."},
    Description{"MemConfig", "slot_size_mib",
                "How much is hidden from the guest at once while it is not plugged, in MiB: a "
                "multiple of the block, at least 128."},
    Description{"MemConfig", "requested_size_mib",
                "Mote's own: how much the guest is to plug when it starts, in MiB: a multiple of "
                "the block."},
    Description{"MemStatus", "total_size_mib", "How much can be plugged in, in MiB."},
    Description{"MemStatus", "block_size_mib", "How much is plugged at once, in MiB."},
    Description{"MemStatus", "slot_size_mib", "How much is hidden at once, in MiB."},
    Description{"MemStatus", "plugged_size_mib", "How much the guest has plugged, in MiB."},
    Description{"MemStatus", "requested_size_mib", "How much it is to plug, in MiB."},
    Description{"MemoryBackend", "backend_path",
                "The memory file, or the Unix socket of a handler of page faults; not given with "
                "`Descriptors`."},
    Description{
        "MemoryBackend", "backend_type",
        "`File`: the file is mapped, private to this process, and must stay as it is. "
        "`Uffd`: a handler brings pages as they are touched. Mote's own, `Descriptors`: the "
        "descriptors of the state and of memory come beside the request (SCM_RIGHTS)."},
    Description{"MemoryUpdate", "requested_size_mib",
                "How much the guest is to plug, in MiB: a multiple of the block, at most all. It "
                "may also unplug."},
    Description{"MetricsConfig", "metrics_path", "A file to append to, or a FIFO."},
    Description{"MetricsConfig", "emit_id", "Whether each line tells the microVM's id."},
    Description{"MetricsConfig", "properties", "Names with texts, which each line repeats."},
    Description{"MmdsConfig", "version",
                "`V1` answers whoever asks (deprecated by Firecracker); `V2` only who shows a "
                "token of a session."},
    Description{"MmdsConfig", "network_interfaces",
                "The ids of the interfaces at which the guest finds the service, at least one."},
    Description{"MmdsConfig", "ipv4_address",
                "The service's address: 169.254.1.0 to 169.254.254.255."},
    Description{"MmdsConfig", "imds_compat",
                "Whether answers have the text forms of EC2's service even for a client that "
                "accepts JSON."},
    Description{"MsrConfig", "addr", "The register's number, in text with `0x` or `0b` before it."},
    Description{"MsrConfig", "bitmap", "As that of a CPUID register, with at most 64 bits."},
    Description{"NetConfig", "iface_id", "The interface's id, as in the path."},
    Description{"NetConfig", "host_dev_name",
                "The tap on the host, which is open from this request on; one that is not there is "
                "made where rights allow. Needed, unless there are `tap_fds`."},
    Description{"NetConfig", "guest_mac",
                "The guest's MAC address; without it, the guest makes one up."},
    Description{
        "NetConfig", "mtu",
        "What the guest is told of the largest packet, 68 to 65535 bytes; without it, nothing."},
    Description{"NetConfig", "rx_rate_limiter", "Limits on what comes into the guest."},
    Description{"NetConfig", "tx_rate_limiter", "Limits on what the guest sends."},
    Description{
        "NetConfig", "num_queues",
        "Mote's own: pairs of queues, 1 to 32. More than one needs a tap that was made for it."},
    Description{"NetConfig", "tap_fds",
                "Mote's own: queues of a tap that are open in the process already, one a pair, in "
                "place of `host_dev_name`."},
    Description{"NetworkOverride", "iface_id", "The interface of the snapshot."},
    Description{"NetworkOverride", "host_dev_name",
                "The tap that it gets in place of the one it had."},
    Description{"NetworkOverride", "guest_mac",
                "Mote's own: another MAC address, for an interface that had one. It is shown to "
                "the guest, whose driver goes on with the old one until it is told otherwise."},
    Description{"PmemConfig", "id", "The memory's id, as in the path."},
    Description{"PmemConfig", "path_on_host",
                "The file or block device that the guest has as memory."},
    Description{"PmemConfig", "root_device", "Whether the guest's root filesystem is on it."},
    Description{"PmemConfig", "read_only", "Whether the guest may only read it."},
    Description{"PmemConfig", "rate_limiter",
                "Limits on the guest's flushes, each of which counts the whole file's bytes."},
    Description{"PmemOverride", "id", "The memory of the snapshot."},
    Description{"PmemOverride", "path_on_host",
                "The file or block device that it gets in place of the one it had; of the same "
                "size."},
    Description{"PmemUpdate", "id", "The memory's id, as in the path."},
    Description{
        "PmemUpdate", "rate_limiter",
        "New limits; a bucket that is left out stays, one of size or refill_time 0 is none."},
    Description{"PortConfig", "mode",
                "Where the port leads: the monitor's standard streams, a file that is appended to, "
                "a Unix socket on which the monitor listens, or nowhere."},
    Description{"PortConfig", "path", "Of the file or socket."},
    Description{"PortConfig", "name", "The port's name in the guest: `/dev/virtio-ports/NAME`."},
    Description{"PortConfig", "is_console",
                "Whether it is a console (hvc) or plain; without it, the first port is one and the "
                "others are not."},
    Description{"RateLimiterConfig", "bandwidth", "A bucket of bytes."},
    Description{"RateLimiterConfig", "ops", "A bucket of requests."},
    Description{"RngConfig", "rate_limiter", "Limits on the bytes and requests of entropy."},
    Description{"SerialConfig", "serial_out_path",
                "A file that is written from its start, or a FIFO; it is opened at the start of "
                "the microVM. Without it, standard output."},
    Description{"SerialConfig", "rate_limiter",
                "A limit on the bytes of output; what is beyond it is lost, and counted."},
    Description{"SnapshotCreate", "snapshot_path", "The file that is to hold the state."},
    Description{"SnapshotCreate", "mem_file_path", "The file that is to hold the guest's memory."},
    Description{"SnapshotCreate", "snapshot_type",
                "`Full`: all of memory. `Diff`: what was written since the last snapshot, laid "
                "over the file where there is one."},
    Description{"SnapshotLoad", "snapshot_path",
                "The file of the state; not given with `Descriptors`."},
    Description{"SnapshotLoad", "mem_backend", "Where the guest's memory comes from."},
    Description{"SnapshotLoad", "mem_file_path",
                "Deprecated: a memory file, in place of `mem_backend`."},
    Description{
        "SnapshotLoad", "track_dirty_pages",
        "Whether pages that are written are noted from now on, for snapshots of type `Diff`."},
    Description{"SnapshotLoad", "enable_diff_snapshots",
                "Deprecated: the same as `track_dirty_pages`."},
    Description{"SnapshotLoad", "resume_vm",
                "Whether the guest goes on at once; else it is paused."},
    Description{"SnapshotLoad", "clock_realtime",
                "Whether the guest's kvmclock is set to the present time; else it goes on from "
                "where it stopped."},
    Description{"SnapshotLoad", "network_overrides",
                "Other taps for interfaces; of an interface that is named twice the last counts."},
    Description{"SnapshotLoad", "vsock_override", "Another socket for the vsock device."},
    Description{"SnapshotLoad", "huge_pages",
                "Pages behind guest memory; `Snapshot`: as it had them. `2M` needs a handler of "
                "page faults."},
    Description{"SnapshotLoad", "prefetch",
                "Mote's own: what the guest touches first is brought in as an earlier load noted "
                "it, or noted for the next, in `NAME.ws` beside the memory file `NAME`."},
    Description{"SnapshotLoad", "drive_overrides", "Mote's own: other files for disks."},
    Description{"SnapshotLoad", "pmem_overrides",
                "Mote's own: other files for persistent memories."},
    Description{"SnapshotLoad", "console_overrides",
                "Mote's own: other files and sockets for ports of the console."},
    Description{"SnapshotLoad", "serial",
                "Mote's own: where the serial port's output goes, as `PUT /serial` says it."},
    Description{"SnapshotLoad", "logger",
                "Mote's own: where the log goes, as `PUT /logger` says it; from this request on, "
                "also where it is refused afterwards."},
    Description{"SnapshotLoad", "mmds",
                "Mote's own: the data that the metadata service gives out, as `PUT /mmds` has it."},
    Description{"TokenBucketConfig", "size",
                "How many tokens (bytes or requests) the bucket holds; 0: no limit."},
    Description{"TokenBucketConfig", "one_time_burst", "Tokens beyond that, which are there once."},
    Description{"TokenBucketConfig", "refill_time",
                "In how many milliseconds an empty bucket is full again; 0: no limit."},
    Description{"VersionInfo", "firecracker_version",
                "The version of Firecracker whose behaviour this is."},
    Description{"VersionInfo", "mote_version", "Mote's own: its version."},
    Description{"VmUpdate", "state",
                "Paused: no vCPU runs and devices rest; Resumed: all goes on."},
    Description{"VsockOverride", "uds_path", "The path of the socket that the device gets."},
    Description{"VsockOverride", "guest_cid",
                "Mote's own: another context id. Linux takes it at once, as its connections are "
                "gone."},
    Description{"VsockConfig", "guest_cid",
                "The guest's address: 3 or more, as those below are taken."},
    Description{
        "VsockConfig", "uds_path",
        "A Unix socket that the monitor makes, for programs of the host that connect to the guest; "
        "the guest's connections to port P of the host go to the socket `UDS_PATH_P`."},
    Description{"VsockConfig", "vsock_id", "Means nothing. Deprecated by Firecracker."},
};

constexpr std::string_view description_of(std::string_view type, std::string_view field) {
  for (const Description& known : kDescriptions) {
    if (known.type == type && known.field == field) return known.text;
  }
  return {};
}

}  // namespace mote::api::firecracker::test

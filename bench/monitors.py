"""How to start each monitor on the same guest: mote-vmm, and the peers that PATH has.

A monitor is a class with `name` and `command(vm, scratch)`, which gives the arguments that run `vm` with its first serial
port on stdin and stdout, writing what files it needs into the directory `scratch`.
"""

import dataclasses
import json
import os
import pathlib

from benchlib import BenchError, in_path, version


@dataclasses.dataclass
class Drive:
    name: str
    path: pathlib.Path
    read_only: bool = False
    format: str = "raw"


@dataclasses.dataclass
class Vm:
    kernel: pathlib.Path
    memory_mib: int = 128
    cmdline: str = ""
    initrd: pathlib.Path | None = None
    # Sections of Firecracker's configuration file, for monitors that take it; the others know no devices here.
    sections: dict = dataclasses.field(default_factory=dict)
    tap: str = ""  # a tap that is there and up
    mac: str = ""  # of the guest on it
    drives: list = dataclasses.field(default_factory=list)


class Monitor:
    # Whether a guest's restart ends the monitor; where it does not, the guest must power the machine off.
    restart_ends = True

    def __init__(self, name, program):
        self.name, self.program = name, str(program)

    def version(self):
        return version(self.program)


class Firecracker(Monitor):
    def __init__(self, name, program, **drive_fields):
        super().__init__(name, program)
        self.drive_fields = drive_fields

    def drive(self, drive):
        fields = {"cache_type": "Writeback", **self.drive_fields}
        return {"drive_id": drive.name, "path_on_host": str(drive.path), "is_root_device": False, "is_read_only": drive.read_only,
                **({} if drive.format == "raw" else {"format": drive.format}), **fields}

    def command(self, vm, scratch):
        boot = {"kernel_image_path": str(vm.kernel)}
        if vm.cmdline:
            boot["boot_args"] = vm.cmdline
        if vm.initrd:
            boot["initrd_path"] = str(vm.initrd)
        drives = [self.drive(drive) for drive in vm.drives]
        sections = {"boot-source": boot, "drives": drives, "machine-config": {"vcpu_count": 1, "mem_size_mib": vm.memory_mib}}
        if vm.tap:
            sections["network-interfaces"] = [{"iface_id": "net", "host_dev_name": vm.tap, "guest_mac": vm.mac}]
        config = scratch / f"{self.name}.json"
        config.write_text(json.dumps({**sections, **vm.sections}))
        return [self.program, "--no-api", "--config-file", str(config)]


class CloudHypervisor(Monitor):
    restart_ends = False

    def command(self, vm, scratch):
        return [self.program, "--kernel", str(vm.kernel), "--cpus", "boot=1", "--memory", f"size={vm.memory_mib}M",
                "--serial", "tty", "--console", "off",
                *(["--net", f"tap={vm.tap},mac={vm.mac}"] if vm.tap else []),
                *(["--cmdline", vm.cmdline] if vm.cmdline else []),
                *(["--initramfs", str(vm.initrd)] if vm.initrd else []),
                *(["--disk", *(f"path={d.path},readonly={'on' if d.read_only else 'off'},image_type={d.format}" for d in vm.drives)]
                  if vm.drives else [])]


class QemuMicrovm(Monitor):
    # Its documentation's least machine, with the serial port that the others have.
    machine = "microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on"

    def drive(self, drive):
        name = drive.name
        return ["-object", f"iothread,id=thread-{name}",
                "-drive", f"if=none,id={name},file={drive.path},format={drive.format},aio=io_uring,cache=writeback,"
                          f"readonly={'on' if drive.read_only else 'off'}",
                "-device", f"virtio-blk-device,drive={name},iothread=thread-{name}"]

    def command(self, vm, scratch):
        return [self.program, "-M", self.machine, "-cpu", "host,-arch-capabilities", "-m", str(vm.memory_mib), "-smp", "1",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
                *(["-netdev", f"tap,id=net,ifname={vm.tap},script=no,downscript=no,vhost=off",
                   "-device", f"virtio-net-device,netdev=net,mac={vm.mac}"] if vm.tap else []),
                "-kernel", str(vm.kernel), *(["-append", vm.cmdline] if vm.cmdline else []),
                *(["-initrd", str(vm.initrd)] if vm.initrd else []),
                *(word for drive in vm.drives for word in self.drive(drive))]


class Lkvm(Monitor):
    def command(self, vm, scratch):
        return [self.program, "run", "--kernel", str(vm.kernel), "--cpus", "1", "--mem", str(vm.memory_mib),
                "--console", "serial",
                "--network", f"mode=tap,tapif={vm.tap},guest_mac={vm.mac},trans=virtio" if vm.tap else "mode=none",
                *(["--params", vm.cmdline] if vm.cmdline else []),
                *(["--initrd", str(vm.initrd)] if vm.initrd else [])]


PEERS = {"firecracker": Firecracker, "cloud-hypervisor": CloudHypervisor, "qemu-system-x86_64": QemuMicrovm, "lkvm": Lkvm}


def mote(build, name="mote-vmm", **drive_fields):
    program = pathlib.Path(os.environ.get("MOTE_VMM", build / "bin" / "mote-vmm"))
    if not program.exists():
        raise BenchError(f"{program} is not there; build it: cmake --build --preset release")
    return Firecracker(name, program, **drive_fields)  # it takes Firecracker's configuration file


def peers():
    """Those that PATH has; `format` of a drive is mote-vmm's own field, and the others' but Firecracker's."""
    return [kind(name, path) for name, kind in PEERS.items() if (path := in_path(name))]

"""What the e2e tests run and look at: mote and mote-vmm as processes, images made for a test, guests that print facts."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import threading
import time

import jailing

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
IN_LAB = os.environ.get("LAB") == "1"
BOOT_SECONDS = 240 if IN_LAB else 60  # far more than a boot takes: for hosts with other work

# How a test's guest talks: lines `name=value` on the console.
PROLOGUE = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin 2>/dev/null
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
"""

# How a guest with busybox asks the metadata service.
SERVICE = "169.254.169.254"
# ask METHOD PATH [HEADER...]: the response, whole
ASK = f"""
ask() {{
  method=$1 path=$2; shift 2
  {{ printf '%s %s HTTP/1.1\\r\\nConnection: close\\r\\n' $method $path
    for header; do printf '%s\\r\\n' "$header"; done; printf '\\r\\n'; }} | nc {SERVICE} 80
}}
status() {{ ask "$@" | head -n 1 | cut -d ' ' -f 2; }}
body() {{ ask "$@" | sed '1,/^\\r*$/d'; }}
"""


def program(name):
    return pathlib.Path(os.environ.get("MOTE_BIN", TOP / "build/release/bin")) / name


@dataclasses.dataclass
class Outcome:
    status: int  # of the process; negative: the signal that ended it
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self):
        return self.stdout.decode(errors="replace")

    @property
    def errors(self):
        return self.stderr.decode(errors="replace")

    @property
    def facts(self):
        """What the guest printed as name=value; kernel messages may stand between."""
        return dict(re.findall(r"^(\w+)=(.*?)\r?$", self.text, re.M))

    def __str__(self):
        return f"status {self.status} after {self.seconds:.1f} s\nstdout: {self.text[-4000:]}\nstderr: {self.errors[-4000:]}"


def run_process(command, stdin=b"", timeout=BOOT_SECONDS, **options):
    began = time.monotonic()
    with subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{command} did not end within {timeout} s\n{out[-4000:]!r}\n{err[-4000:]!r}") from None
        return Outcome(process.returncode, out, err, time.monotonic() - began)


class Mote:
    """`mote run` with the kernel and the root filesystem of this test run."""

    def __init__(self, kernel, rootfs):
        self.kernel, self.rootfs = kernel, rootfs

    def command(self, *argv, rootfs=None, options=()):
        return [program("mote"), "run", "--kernel", self.kernel, "--rootfs", rootfs or self.rootfs, *options, "--", *argv]

    def run(self, *argv, rootfs=None, options=(), **how):
        return run_process(self.command(*argv, rootfs=rootfs, options=options), **how)

    def sh(self, script, **how):
        return self.run("/bin/sh", "-c", script, **how)


class Vmm:
    """mote-vmm with a configuration file, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory

    def command(self, config, *flags):
        command = [program("mote-vmm"), "--no-api", "--config-file", "vm.json", *flags]
        file = self.directory / "vm.json"
        if jailing.JAILED:
            command, config, file = jailing.command(program(".").resolve(), config, self.directory, flags)
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        return command

    def run(self, config, *flags, **how):
        return run_process(self.command(config, *flags), cwd=self.directory, **how)


def vm_config(kernel, boot_args="", initrd=None, drives=(), vcpus=1, memory=256, protocol=None, **machine):
    source = {"kernel_image_path": str(kernel), "boot_args": f"console=ttyS0 reboot=k panic=-1 quiet {boot_args}".strip()}
    if initrd:
        source["initrd_path"] = str(initrd)
    if protocol:
        source["boot_protocol"] = protocol
    config = {"boot-source": source, "machine-config": {"vcpu_count": vcpus, "mem_size_mib": memory, **machine}}
    config["drives"] = list(drives)
    return config


def counted(path):
    """What the lines of a file of metrics say together: {group: {key: number}}, counters added up, without latencies."""
    sums = {}
    for line in path.read_text().splitlines():
        for group, numbers in json.loads(line).items():
            if isinstance(numbers, dict):
                into = sums.setdefault(group, {})
                for key, number in numbers.items():
                    if isinstance(number, int):
                        into[key] = into.get(key, 0) + number
    return sums


def drive(path, name="disk", root=False, read_only=True, **more):
    return {"drive_id": name, "path_on_host": str(path), "is_root_device": root, "is_read_only": read_only, **more}


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def make_initrd(path, script, programs=()):
    """An initramfs of busybox whose /init is the script, after mounts and with the console as its stdio; `programs` lie in /bin."""
    busybox = pathlib.Path(shutil.which("busybox")).read_bytes()
    entries = [
        ("bin", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("dev", stat.S_IFDIR | 0o755, b"", (0, 0)),
        ("dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)),
        ("bin/busybox", stat.S_IFREG | 0o755, busybox, (0, 0)),
        ("init", stat.S_IFREG | 0o755, (PROLOGUE + script).encode(), (0, 0)),
        *((f"bin/{program.name}", stat.S_IFREG | 0o755, program.read_bytes(), (0, 0)) for program in programs),
    ]
    packed = b"".join(cpio_entry(number, *entry) for number, entry in enumerate(entries, 1))
    path.write_bytes(packed + cpio_entry(0, "TRAILER!!!", 0))
    return path


def compile_program(source, path):
    """A static program of one of the C files beside this."""
    done = run_process(["clang-19", "-O2", "-static", "-o", path, TOP / "tests/e2e" / source])
    assert done.status == 0, done
    return path


def make_tree(path, script="", files=None):
    """A root directory with busybox, whose /init is the script."""
    for name in ("bin", "dev", "proc", "sys", "run", "tmp", "etc", "root"):
        (path / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), path / "bin/busybox")
    listed = subprocess.run(["busybox", "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    for applet in listed:
        if applet != "busybox":
            (path / "bin" / applet).symlink_to("busybox")
    (path / "init").write_text(PROLOGUE + script)
    (path / "init").chmod(0o755)
    for name, content in (files or {}).items():
        (path / name).write_text(content)
    return path


def make_image(kind, tree, path):
    """An image of a directory: ext4, squashfs or erofs."""
    commands = {
        "ext4": ["/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, path, "32M"],
        "squashfs": ["mksquashfs", tree, path, "-quiet", "-no-progress", "-noappend", "-comp", "gzip"],
        "erofs": ["mkfs.erofs", "--quiet", path, tree],
    }
    done = run_process(commands[kind])
    assert done.status == 0, done
    return path


def make_partitioned(image, path, signature):
    """A disk with one MBR partition that holds the image; its PARTUUID is <signature>-01."""
    data = image.read_bytes()
    data += b"\0" * (-len(data) % 512)
    first = 2048
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + first.to_bytes(4, "little") + (len(data) // 512).to_bytes(4, "little")
    mbr = bytearray(512)
    mbr[440:444] = signature.to_bytes(4, "little")
    mbr[446:462] = entry
    mbr[510:512] = b"\x55\xaa"
    path.write_bytes(bytes(mbr).ljust(first * 512, b"\0") + data)
    return path


def processes(name):
    """The ids of running processes with this name."""
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() == name[:15] and not (entry / "stat").read_text().split(") ")[1].startswith("Z"):
                found.add(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def send_after_output(command, marker, number, timeout=BOOT_SECONDS, cwd=None):
    """Starts the command, sends it the signal once the marker has come out, and waits for its end."""
    began = time.monotonic()
    with subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=cwd) as process:
        seen = b""
        late = threading.Timer(timeout, process.kill)
        late.start()
        while marker not in seen:
            data = process.stdout.read1()
            how = f"did not say {marker!r} within {timeout} s" if late.finished.is_set() else f"ended before {marker!r}"
            assert data, f"{command} {how}: {seen!r} {process.stderr.read()!r}"
            seen += data
        late.cancel()
        process.send_signal(number)
        sent = time.monotonic()
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{command} goes on {timeout} s after {signal.Signals(number).name}") from None
        outcome = Outcome(process.returncode, seen + out, err, time.monotonic() - began)
        return outcome, time.monotonic() - sent

"""What the tests of snapshots share: a guest at work (busy_guest.c), the monitors that it goes through, and the host's end of what it talks to."""

import contextlib
import dataclasses
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import jailing
from api_client import Client
from harness import BOOT_SECONDS, SERVICE, compile_program, make_initrd, program, run_process

MIB = 1 << 20
BRIDGE = "msnap"
PARTS = ("disk", "pmem", "memory", "net", "vsock", "entropy", "timer")
# What its kernel would say of a host that does not run it for half a minute. A guest that hangs does not work on, which is waited for.
PATIENT = "rcupdate.rcu_cpu_stall_timeout=300"
# Interrupts of ACPI have real-time threads. When the host does not run the guest for a second, the one that tells of a new generation
# may be what it was at, and its kernel would say that such threads are held back.
INIT = f"""
echo -1 > /proc/sys/kernel/sched_rt_runtime_us
mkdir /disk /pmem
mount -t ext4 /dev/vda /disk; mount -t ext4 -o dax /dev/pmem0 /pmem
ip link set lo up; ip addr add 10.96.0.2/24 dev eth0; ip link set eth0 up
ip route add {SERVICE} dev eth0
vsock_shell > /dev/null &
exec busy
"""


def ip(*words, check=True):
    subprocess.run(["ip", *words], check=check, capture_output=True)


def add_tap(name, bridged=True):
    """One that stays when a monitor ends, so that connections over the bridge do not notice."""
    ip("tuntap", "add", name, "mode", "tap", *jailing.tap_owner())
    if bridged:
        ip("link", "set", name, "master", BRIDGE)
    ip("link", "set", name, "up")


def echo_all(listener, begun):
    """Echoes on every connection until the listener is closed; `begun` lists the connections."""
    def echo(stream):
        with stream, contextlib.suppress(OSError):
            while data := stream.recv(1 << 16):
                stream.sendall(data)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                stream, _ = listener.accept()
                begun.append(stream)
                threading.Thread(target=echo, args=[stream], daemon=True).start()
    listener.listen(16)
    threading.Thread(target=serve, daemon=True).start()


@contextlib.contextmanager
def network(taps):
    """The host's address on a bridge, `taps` in it, and an echo at port 7000."""
    ip("link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
    try:
        ip("addr", "add", "10.96.0.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for name in taps:
            add_tap(name)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("10.96.0.1", 7000))
            echo_all(listener, [])
            try:
                yield
            finally:
                listener.shutdown(socket.SHUT_RDWR)  # wakes who waits there, and has it for itself
    finally:
        for name in [*taps, BRIDGE]:
            ip("link", "delete", name, check=False)


@dataclasses.dataclass
class Told:
    """What the guest says of itself."""
    told: int
    complaints: int
    reseeds: int
    random: str
    time: float
    rounds: dict
    wrong: int
    breaks: dict


class Monitor:
    """mote-vmm with its API in a directory of its own, a client of it, and its guest's console."""

    def __init__(self, directory, name):
        self.directory, self.name, self.output = directory, name, b""
        directory.mkdir(exist_ok=True)
        self.vsock = directory / f"{name}.vsock"
        self.vsock_streams = []
        self.vsock_listener = socket.socket(socket.AF_UNIX)
        self.vsock_listener.bind(f"{self.vsock}_53")
        echo_all(self.vsock_listener, self.vsock_streams)
        sock = directory / f"{name}.sock"
        command = jailing.served(program("mote-vmm"), directory, "--api-sock", sock, "--log-path", directory / f"{name}.log", has_directory_to_itself=True)
        self.process = subprocess.Popen(command, cwd=directory,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.until(sock.exists, "the socket")
        self.api = Client(sock, timeout=BOOT_SECONDS)

    def read(self):
        while data := self.process.stdout.read1(65536):
            with self.changed:
                self.output += data
                self.changed.notify_all()

    def said(self):
        return f"{self.name}: {self.output[-3000:].decode(errors='replace')}\n{(self.directory / f'{self.name}.log').read_text(errors='replace')[-2000:]}"

    def until(self, done, what, seconds=BOOT_SECONDS):
        end = time.monotonic() + seconds
        while not (answer := done()):
            assert time.monotonic() < end and self.process.poll() is None, (what, self.said())
            time.sleep(0.02)
        return answer

    def wait_for(self, pattern, start=0):
        end = time.monotonic() + BOOT_SECONDS
        with self.changed:
            while not (found := re.search(pattern, self.output[start:])):
                assert self.changed.wait(max(0, end - time.monotonic())), (pattern, self.said())
        return found

    def command(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def tell(self):
        start = len(self.output)
        self.command("t")
        fields = dict(word.split("=") for word in self.wait_for(rb"told: (.*) \.\r?\n", start)[1].decode().split())
        counts = {part: [int(number) for number in fields.pop(part).split(",")] for part in PARTS}
        return Told(told=int(fields["told"]), complaints=int(fields["complaints"]), reseeds=int(fields["reseeds"]), random=fields["random"],
                    time=float(fields["time"]), rounds={part: count[0] for part, count in counts.items()},
                    wrong=sum(count[1] for count in counts.values()), breaks={part: count[2] for part, count in counts.items()})  # fmt: skip

    def works_on(self, before, parts=PARTS):
        """Waits until every part has done more than `before`; then nothing may be wrong."""
        def all_moved():
            now = self.tell()
            assert now.wrong == 0 and now.complaints == 0, (now, self.said())
            return now if all(now.rounds[part] > before.rounds[part] + 1 for part in parts) else None
        return self.until(all_moved, f"work beyond {before}")

    def shell(self, script):
        """What the script prints, run in the guest by way of vsock."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(BOOT_SECONDS)
            stream.connect(str(self.vsock))
            stream.sendall(b"CONNECT 52\n" + script.encode() + b"\n")
            stream.shutdown(socket.SHUT_WR)
            text = b""
            while data := stream.recv(1 << 16):
                text += data
        greeting, _, rest = text.partition(b"\n")
        assert greeting.startswith(b"OK "), (greeting, self.said())
        return rest.decode()

    def save(self, files, kind="Full"):
        self.api.patch_vm("Paused")
        self.api.create_snapshot(snapshot_path=f"{files}.state", mem_file_path=f"{files}.memory", snapshot_type=kind)

    def load(self, files, tap, **more):
        """Of a guest of start_guest()."""
        backend = more.pop("mem_backend", {"backend_type": "File", "backend_path": f"{files}.memory"})
        self.api.load_snapshot(snapshot_path=f"{files}.state", mem_backend=backend, network_overrides=[{"iface_id": "eth0", "host_dev_name": tap}],
                               vsock_override={"uds_path": str(self.vsock)}, **more)  # fmt: skip

    def reboot(self):
        """Which ends the machine."""
        self.command("r")
        try:
            assert self.process.wait(BOOT_SECONDS) == 0, self.said()
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guest did not reboot: {self.said()}") from None

    def kill(self):
        self.api.close()
        self.vsock_listener.shutdown(socket.SHUT_RDWR)
        self.vsock_listener.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def make_files(directory):
    for name in ("disk", "pmem"):
        done = run_process(["/sbin/mke2fs", "-q", "-t", "ext4", "-b", "4096", directory / name, "16M"])
        assert done.status == 0, done
    programs = [compile_program("busy_guest.c", directory / "busy"), compile_program("vsock_shell.c", directory / "vsock_shell")]
    make_initrd(directory / "initrd", INIT, programs=programs)


def start_guest(directory, kernel, name="first", vcpus=1, tap="msnap0"):
    """A monitor whose guest is at work, with all the devices that there are. Paths of the disk and the pmem are relative."""
    make_files(directory)
    monitor = Monitor(directory, name)
    api = monitor.api
    api.put_machine_config(vcpu_count=vcpus, mem_size_mib=192, track_dirty_pages=True)
    api.put_boot_source(kernel_image_path=str(kernel), initrd_path="initrd", boot_args=f"console=ttyS0 reboot=k panic=-1 quiet {PATIENT}")
    api.put_drive("d", path_on_host="disk", is_root_device=False)
    api.put_pmem("p", path_on_host="pmem", read_only=False)
    api.put_network_interface("eth0", host_dev_name=tap, guest_mac="06:00:ac:10:00:02")
    api.put_vsock(guest_cid=3, uds_path=str(monitor.vsock))
    api.put_balloon(amount_mib=16, deflate_on_oom=True, stats_polling_interval_s=1)
    api.put_entropy()
    api.put_mmds_config(network_interfaces=["eth0"], version="V1")
    api.act("InstanceStart")
    monitor.wait_for(b"busy")
    return monitor


def check_disks(directory):
    """What the guest has left on its disks is whole."""
    for name in ("disk", "pmem"):
        run_process(["/sbin/e2fsck", "-fp", directory / name])  # the journal, as the guest was not shut down
        done = run_process(["/sbin/e2fsck", "-fn", directory / name])
        assert done.status == 0, done


def copied_of(process, path):
    """Bytes of the file which the process has copies of, of what it maps of it."""
    copied = None
    for line in pathlib.Path(f"/proc/{process.pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-", line):
            mapping = line.endswith(os.path.realpath(path))
        elif mapping and line.startswith("Anonymous:"):
            copied = (copied or 0) + (int(line.split()[1]) << 10)
    return copied

"""A Linux guest is forked while it works: parent, children and a child's child go on apart, each another machine, and the end of one is nothing to the others."""

import array
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

import jailing
from harness import BOOT_SECONDS, make_initrd, program

# Holds data in memory, counts what it is told, and tells what it finds.
GUEST = r"""
mkdir -p /tmp
mount -t tmpfs -o size=100% tmpfs /tmp
dd if=/dev/urandom of=/tmp/large bs=1M count=24 2>/dev/null
large=$(md5sum < /tmp/large)
count=0
echo ready
while read command; do
  count=$((count + 1))
  same=no; [ "$(md5sum < /tmp/large)" = "$large" ] && same=yes
  [ "$command" = spoil ] && dd if=/dev/zero of=/tmp/large bs=1M count=24 2>/dev/null
  bad=$(dmesg | grep -ciE 'BUG:|WARNING:|stall|lockup|hung task|Oops')
  echo "told count=$count same=$same bad=$bad random=$(cat /proc/sys/kernel/random/uuid) disk=$(md5sum < /dev/vda | cut -c 1-8)."
done
"""
FROM_DESCRIPTORS = {"mem_backend": {"backend_type": "Descriptors"}, "resume_vm": True}


class Monitor:
    def __init__(self, directory, name, *flags):
        self.path, self.output = directory / f"{name}.sock", b""
        command = jailing.served(program("mote-vmm"), directory, "--api-sock", self.path, "--level", "Error", *flags)
        self.process = subprocess.Popen(command, cwd=directory,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while data := self.process.stdout.read1(65536):
            with self.changed:
                self.output += data
                self.changed.notify_all()

    def ask(self, method, path, body=None, descriptors=()):
        """The answer's JSON, and the descriptors beside it."""
        text = json.dumps(body) if body is not None else ""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(BOOT_SECONDS)
            for _ in range(600):
                try:
                    stream.connect(str(self.path))
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    time.sleep(0.1)
            stream.sendmsg([f"{method} {path} HTTP/1.1\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()], rights)
            got, passed = b"", array.array("i")
            while b"\r\n\r\n" not in got:
                part, ancillary, _, _ = stream.recvmsg(65536, 4096)
                assert part, self.output[-2000:]
                got += part
                for _, _, data in ancillary:
                    passed.frombytes(data)
        head, _, rest = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), (method, path, rest, self.output[-2000:])
        return json.loads(rest) if rest else {}, list(passed)

    def wait_for(self, pattern, start=0):
        end = time.monotonic() + BOOT_SECONDS
        with self.changed:
            while not (found := re.search(pattern, self.output[start:])):
                assert self.changed.wait(max(0, end - time.monotonic())), self.output[-3000:]
        return found

    def tell(self, command="tell"):
        start = len(self.output)
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        line = self.wait_for(rb"told (count=.*)\.\r?\n", start)[1].decode()
        return dict(field.split("=", 1) for field in line.split())

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def monitors(tmp_path):
    started = []

    def start(name, *flags):
        started.append(Monitor(tmp_path, name, *flags))
        return started[-1]

    yield start
    for monitor in started:
        monitor.end()


def fork(parent):
    answer, descriptors = parent.ask("PUT", "/fork")
    assert answer["descriptors_sent"] == len(descriptors) >= 2
    return descriptors


def load(child, descriptors, **more):
    child.ask("PUT", "/snapshot/load", {**FROM_DESCRIPTORS, **more}, descriptors)


def state_of(path):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(30)
        stream.connect(str(path))
        stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
        return json.loads(stream.recv(65536).partition(b"\r\n\r\n")[2])["state"]


def peer_of(path):
    """The process that listens there."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(path))
        return struct.unpack("3i", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


def wait_until(what):
    end = time.monotonic() + BOOT_SECONDS
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def with_a_pool(directory, parent):
    pool, children = directory / "pool", directory / "children"
    children.mkdir()
    keeper = subprocess.Popen([program("mote"), "pool", pool, "-n", "2", "--cpus", "2", "--memory", "192M"])
    sockets = []
    try:
        shells = wait_until(lambda: len(found := list(pool.glob("shell-*.sock"))) == 2 and found)
        ready = {peer_of(shell) for shell in shells}
        own = {"drive_overrides": [{"drive_id": "d", "path_on_host": str(directory / "copy")}],
               "vsock_override": {"uds_path": str(directory / "p{n}")}}  # fmt: skip
        done = subprocess.run([program("mote"), "fork", parent.path, "-n", "3", "--directory", children, "--pool", pool, "--with", json.dumps(own)],
                              capture_output=True, text=True, timeout=BOOT_SECONDS)  # fmt: skip
        assert done.returncode == 0, done
        sockets = done.stdout.split()
        assert len(sockets) == 3 and all(state_of(path) == "Running" for path in sockets), done
        assert ready <= {peer_of(path) for path in sockets}, "the pool's shells were taken"
        fresh = wait_until(lambda: len(found := list(pool.glob("shell-*.sock"))) == 2 and found)
        assert not ready & {peer_of(shell) for shell in fresh}
        keeper.terminate()
        assert keeper.wait(60) == 0
        assert not list(pool.glob("*.sock*")) and all(state_of(path) == "Running" for path in sockets)
    finally:
        keeper.kill()
        keeper.wait()
        for path in sockets:
            os.kill(peer_of(path), signal.SIGKILL)


def test_linux_is_forked_and_its_child_again(tmp_path, kernel, monitors):
    for name in ("disk", "copy", "copy1", "copy2", "copy3"):
        (tmp_path / name).write_bytes(b"disk" * 1024)
    parent = monitors("parent")
    parent.ask("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 192, "forkable": True})
    parent.ask("PUT", "/boot-source", {"kernel_image_path": str(kernel), "initrd_path": str(make_initrd(tmp_path / "initrd", GUEST)),
                                       "boot_args": "console=ttyS0 reboot=k panic=-1 quiet"})  # fmt: skip
    parent.ask("PUT", "/drives/d", {"drive_id": "d", "path_on_host": str(tmp_path / "disk"), "is_root_device": False})
    parent.ask("PUT", "/vsock", {"guest_cid": 3, "uds_path": str(tmp_path / "v0")})
    parent.ask("PUT", "/balloon", {"amount_mib": 8, "deflate_on_oom": True})
    parent.ask("PUT", "/entropy", {})
    parent.ask("PUT", "/actions", {"action_type": "InstanceStart"})
    parent.wait_for(b"ready")
    bad = parent.tell()["bad"]

    def own(number):
        return {"drive_overrides": [{"drive_id": "d", "path_on_host": str(tmp_path / f"copy{number}")}],
                "vsock_override": {"uds_path": str(tmp_path / f"v{number}"), "guest_cid": 3 + number}}  # fmt: skip

    descriptors = fork(parent)
    # Into a shell, and into a monitor that was not made ahead.
    one = monitors("one", "--shell", "--shell-vcpu-count", "2", "--shell-mem-size-mib", "192")
    other = monitors("other")
    load(one, descriptors, **own(1))
    load(other, descriptors, **own(2))
    for fd in descriptors:
        os.close(fd)
    told = [parent.tell(), one.tell(), other.tell()]
    assert all(facts["count"] == "2" and facts["same"] == "yes" and facts["bad"] == bad for facts in told), told
    assert len({facts["random"] for facts in told}) == 3, "each is another machine"

    # As a person does it, with a pool of shells that has fewer than are wanted.
    with_a_pool(tmp_path, parent)

    # What one writes is its own: also in what is forked of it.
    assert one.tell("spoil")["same"] == "yes"
    grandchild = monitors("grandchild")
    again = fork(one)
    load(grandchild, again, **own(3))
    for fd in again:
        os.close(fd)
    parent.end()
    one.end()
    facts = grandchild.tell()
    assert facts["count"] == "4" and facts["same"] == "no" and facts["bad"] == bad, facts
    facts = other.tell()
    assert facts["count"] == "3" and facts["same"] == "yes" and facts["bad"] == bad, facts

"""A monitor that a zygote becomes has the walls of one that was started by itself, and nothing open that such a one has not."""

import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

import api

PATIENCE = 20
# Of /proc/PID/task/TID/status: its rights, what it does with signals, its walls.
FIELDS = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
          "Seccomp_filters")  # fmt: skip


@pytest.fixture
def words(tmp_path):
    """Of a monitor whose guest goes on for ever."""
    drive = {"drive_id": "disk", "path_on_host": str(tmp_path / "disk"), "is_root_device": False, "io_engine": "Async"}
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    config = {"boot-source": {"kernel_image_path": str(api.BARE / "idle.elf")}, "machine-config": {"vcpu_count": 2, "mem_size_mib": 16}, "drives": [drive]}
    (tmp_path / "vm.json").write_text(json.dumps(config))
    return ["--no-api", "--config-file", str(tmp_path / "vm.json")]


@contextlib.contextmanager
def started(words):
    """The pid of a monitor of its own."""
    process = subprocess.Popen([api.BIN / "mote-vmm", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    yield process.pid
    process.kill()
    process.wait()


@contextlib.contextmanager
def hatched(words):
    """The pid of one that a zygote has become."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = subprocess.Popen([api.BIN / "mote-vmm", "--zygote-fd", str(its.fileno())], pass_fds=[its.fileno()])
    its.close()
    with open(os.devnull, "r+b") as nothing:
        socket.send_fds(mine, [b"".join(word.encode() + b"\0" for word in words)], [nothing.fileno()] * 3)
    answer, made, _, _ = socket.recv_fds(mine, 8, 1)
    error, pid = struct.unpack("ii", answer)
    assert error == 0 and len(made) == 1
    assert int(re.search(r"Pid:\s+(\d+)", pathlib.Path(f"/proc/self/fdinfo/{made[0]}").read_text())[1]) == pid
    yield pid
    signal.pidfd_send_signal(made[0], signal.SIGKILL)
    os.close(made[0])
    mine.close()
    assert zygote.wait(PATIENCE) == 0


def threads(pid):
    """name -> the fields of its status."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        if not lines["Name"].startswith("kvm-"):  # the kernel's own
            found[lines["Name"]] = {field: lines[field] for field in FIELDS}
    return found


def look(pid):
    """What is to be alike, once its guest runs, which is when each thread has its filters."""
    end = time.monotonic() + PATIENCE
    while True:
        seen = threads(pid)
        if seen.keys() >= {"fc_vcpu 0", "fc_vcpu 1"} and all(int(status["Seccomp_filters"]) == 2 for status in seen.values()):
            break
        assert time.monotonic() < end, seen
        time.sleep(0.01)
    opened = collections.Counter(re.sub(r"^(socket|pipe):.*", r"\1", os.readlink(fd)) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return {"threads": seen, "open": opened, "limits": limits, "owner": os.stat(f"/proc/{pid}/maps").st_uid,
            "leads": os.getsid(pid) == os.getpgid(pid) == pid}  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="looks into other processes: needs root")
def test_its_monitors_have_the_same_walls(words):
    with started(words) as alone, hatched(words) as pid:
        assert look(pid) == look(alone)

